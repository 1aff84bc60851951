"""What is seen from above: windows, Dask, detectors, scans."""
