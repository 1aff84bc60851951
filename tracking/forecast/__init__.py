"""What is about to be: where something will be, and when it will be there, learned from an archive of tracks.

``past`` holds the archive, ``futures`` what others did from here, ``regions`` the places that hold half and nine tenths of it,
``calibration`` how wide they have to be, ``where`` and ``arrival`` the answers.  Nothing here is in the fold: a forecast is
made on request, from an archive and from the fixes of one id up to one moment.
"""
