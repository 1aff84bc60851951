"""Who may import whom, who may open a third-party package, who may read a clock, what nobody may write."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import grimp
import pytest

ROOMS = ("birddog", "devices", "ingest", "tracking", "imagery", "sim", "opsroom")
#: A package whose releases break its users has one door each side: (modules that may import it).
DOORS = {
    "filterpy": {"tracking/engine_filterpy.py"},
    "numba": {"tracking/kernel.py", "tracking/crowd_kernel.py", "birddog/leaf_kernel.py"},
    "paho": {"ingest/broker.py", "sim/emit_mqtt.py"},
    "pymodbus": {"ingest/modbus_poll.py", "sim/emit_modbus.py"},
    "serial": {"ingest/serial_port.py"},
    "pyais": {"devices/formats/ais.py"},
    "rasterio": {"imagery/scene.py", "imagery/raster_out.py", "sim/scenes.py"},
    "xarray": {"imagery/scene.py"},
    "segno": {"opsroom/paper.py"},
    "pkcs11": {"birddog/hsm.py"},
    "pyarrow": {"opsroom/parquet_tracks.py"},
    "rfc3161_client": {"opsroom/timestamp.py"},
    "dask": {"imagery/scan.py"},
    "PIL": {"imagery/thumbnail.py", "imagery/drone.py"},
    "uvicorn": {"opsroom/console/listen.py", "opsroom/console/line.py"},
    "starlette": {"opsroom/console/"},
    # the journal, the derived store, and the watched folder's ledger of what it has looked at
    "sqlite3": {"birddog/journal/sqlite.py", "birddog/journal/sqlite_file.py",
                "opsroom/picture_store.py", "opsroom/picture_view.py", "imagery/watch.py",
                "opsroom/doctor.py"},  # which asks for its version
}

#: Rooms, and single files of other rooms, that may read the wall clock: everybody else is told the time.
CLOCK_READERS = ("opsroom/", "ingest/", "sim/run.py", "sim/load.py", "sim/emit", "imagery/watch.py")

CLOCKS = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime", "ctime",
    "now", "utcnow", "today",
}  # fmt: skip


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """(node, dotted name as written) of every call of a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node, ast.unparse(node.func)


def clock_reads(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, call) of every reading of a clock, by whatever name the module was imported."""
    named = {"time": "time", "datetime": "datetime", "date": "date"}
    single: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in ("time", "datetime"):
                    named[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
            for alias in node.names:
                if node.module == "time" and alias.name in CLOCKS:
                    single.add(alias.asname or alias.name)
                else:
                    named[alias.asname or alias.name] = alias.name
    for node in ast.walk(tree):
        # also without a call: `clock=time.time` hands the clock on
        if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            base = ast.unparse(node.value)
            if base.split(".")[0] in named and base.split(".")[-1] in named:
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in single:
            yield node.lineno, node.id


def test_import_contracts(root):
    """The contracts of pyproject.toml, by import-linter."""
    program = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--no-logo"], cwd=root, capture_output=True, text=True, timeout=170
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout), done.stdout


def test_third_party_doors(shipped):
    wrong = []
    for path, tree in shipped.items():
        for line, name in imports(tree):
            doors = DOORS.get(name.split(".")[0])
            if doors and not any(str(path) == door or (door.endswith("/") and str(path).startswith(door)) for door in doors):
                wrong.append(f"{path}:{line}: {name} has its door in {', '.join(sorted(doors))}")
    assert not wrong, "\n".join(wrong)


def test_no_door_stands_open_to_nobody(shipped):
    """A module that does not import the package any more, or is gone, loses its line in DOORS."""
    for package, doors in DOORS.items():
        users = {str(path) for path, tree in shipped.items() if any(name.split(".")[0] == package for _, name in imports(tree))}
        idle = {door for door in doors if not any(user == door or user.startswith(door) for user in users)}
        assert not idle, f"{package}: {idle}"


#: Extras, each behind one door: who asks for what they do without them is told in one line.
EXTRAS = {("birddog/hsm.py", "pkcs11"), ("opsroom/parquet_tracks.py", "pyarrow"),
          ("opsroom/timestamp.py", "rfc3161_client")}  # fmt: skip


def test_runtime_packages_are_declared(shipped, packages, project):
    """Nothing is imported that a plain install would not bring."""
    said = {re.match(r"[A-Za-z0-9_.-]+", line)[0].lower() for line in project["project"]["dependencies"]}
    provides = {"paho-mqtt": "paho", "pyserial": "serial", "pillow": "pil"}
    known = {provides.get(name, name).lower() for name in said} | set(sys.stdlib_module_names) | set(packages)
    wrong = [
        f"{path}:{line}: {name} is not among the dependencies in pyproject.toml"
        for path, tree in shipped.items()
        for line, name in imports(tree)
        if name.split(".")[0].lower() not in known and name.split(".")[0] not in known
        and (str(path), name.split(".")[0]) not in EXTRAS
    ]
    assert not wrong, "\n".join(wrong)


def test_clocks(shipped):
    """The journal is the clock: below opsroom and the transports everybody is told the time."""
    wrong = [
        f"{path}:{line}: {name} reads a clock"
        for path, tree in shipped.items()
        if not str(path).startswith(CLOCK_READERS)
        for line, name in clock_reads(tree)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_lies_beside_a_journal_is_named_in_one_place(shipped):
    """A journal need not be a file: the names beside it are made behind ``birddog.journal`` only."""
    endings = {".picture", ".sock", ".status", ".refusal-key", ".imagery", ".head"}
    wrong = [
        f"{path}:{node.lineno}: {node.value!r}: ask birddog.journal.home(url)"
        for path, tree in shipped.items()
        if path.parts[:2] != ("birddog", "journal")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in endings
    ]
    assert not wrong, "\n".join(wrong)


def test_no_files_or_terminal_in_devices_and_tracking(shipped):
    wrong = [
        f"{path}:{node.lineno}: {name}(…)"
        for path, tree in shipped.items()
        if path.parts[0] in ("devices", "tracking")
        for node, name in calls(tree)
        if name in ("open", "print", "input", "breakpoint")
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_evaluates_text(trees):
    """No eval, no exec, no pickle, no shell: neither in the product nor beside it."""
    modules = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "imp"}
    wrong = []
    for path, tree in trees.items():
        wrong += [f"{path}:{line}: import {name}" for line, name in imports(tree) if name.split(".")[0] in modules]
        for node, name in calls(tree):
            if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"):
                wrong.append(f"{path}:{node.lineno}: {name}(…)")
            for word in node.keywords:
                if word.arg in ("shell", "allow_pickle") and ast.unparse(word.value) != "False":
                    wrong.append(f"{path}:{node.lineno}: {word.arg}={ast.unparse(word.value)}")
    assert not wrong, "\n".join(wrong)


def test_broad_excepts_are_stated_boundaries(trees, root):
    """`except Exception` re-raises, or its line says ``# boundary: why``; a bare except is nowhere."""
    wrong = []
    for path, tree in trees.items():
        if path.parts[0] == "tests":
            continue  # ruff asks there
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            if node.type is None:
                wrong.append(f"{path}:{node.lineno}: bare except")
                continue
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if not any(ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds):
                continue
            raises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not raises and not re.search(r"#.*boundary: \S+", lines[node.lineno - 1]):
                wrong.append(f"{path}:{node.lineno}: except {ast.unparse(node.type)} without `# boundary: why`")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time as t\nx = t.monotonic_ns",
        "from time import time_ns as ns\nns()",
        "from datetime import datetime\ndatetime.now()",
        "import datetime as dt\ndt.datetime.utcnow()",
        "import datetime\ndatetime.date.today()",
    ],
)
def test_clock_reads_are_seen(source):
    assert len(list(clock_reads(ast.parse(source)))) == 1


def test_other_names_are_no_clock():
    source = "import datetime\nself.now()\nbook.now\ndatetime.datetime.fromtimestamp(0, datetime.UTC)\nfix.time"
    assert list(clock_reads(ast.parse(source))) == []


#: What carries a state of motion on in time, and who may call it: the algebra, and the bank of motions in scalars and in NumPy.
#: Who follows something (the fold's filter, its contacts, `birddog locate`) asks the bank.
PREDICTS = {
    "coefficients": {"tracking/bank.py", "tracking/engine.py", "tracking/engine_filterpy.py", "tracking/motion.py"},
    "predict": {"tracking/engine_filterpy.py", "tracking/motion.py"},
    "one_step": {"tracking/crowd.py"},
    "propagated": {"tracking/bank.py"},
    "transitions": {"tracking/bank.py", "tracking/motion.py"},
}


#: What gives a matrix turned, as an attribute, and what does when it is called: of an object, or of what is handed to it.
TURNED, TURNS = {"T", "mT"}, {"transpose", "swapaxes", "matrix_transpose", "permute_dims"}
#: What multiplies two matrices (an object's ``dot`` too), and what multiplies as many as it is handed in a list.
TIMES, CHAINS = {"dot", "matmul"}, {"multi_dot"}


def factors(node: ast.expr, named: dict[str, ast.expr]) -> list[tuple[str, bool]]:
    """A product of matrices as its factors in order, each with whether it is turned; of what is none, itself.

    Args:
        named: what names were given to, above where they are used.
    """
    if isinstance(node, ast.Name) and node.id in named and named[node.id].lineno < node.lineno:
        return factors(named[node.id], named)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return factors(node.left, named) + factors(node.right, named)
    if isinstance(node, ast.Attribute) and node.attr in TURNED:
        return [(what, not turned) for what, turned in reversed(factors(node.value, named))]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        of, name = node.func.value, node.func.attr
        its = [] if isinstance(of, ast.Name) and of.id in ("np", "numpy", "linalg") or "linalg" in ast.unparse(of) else [of]
        those = its + node.args
        if name in TURNS and those:
            return [(what, not turned) for what, turned in reversed(factors(those[0], named))]
        if name in TIMES and len(those) >= 2:
            return factors(those[0], named) + factors(those[1], named)
        if name in CHAINS and node.args and isinstance(node.args[0], ast.List | ast.Tuple):
            return [one for part in node.args[0].elts for one in factors(part, named)]
    return [(ast.dump(node), False)]


def summed(node: ast.Call) -> bool:
    """Whether an ``einsum`` has one factor twice, of either a row in what comes out and a column in what stands between."""
    if not (isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
        return False
    before, _, out = node.args[0].value.replace(" ", "").replace("...", "").partition("->")
    parts = list(zip(before.split(","), map(ast.dump, node.args[1:]), strict=False))
    return len(parts) >= 3 and any(
        one == other and all(
            any(set(mine) & set(way) for way, what in ((out, ""), *parts) if what != one and bool(what) == between)
            for mine in (set(i) - set(j), set(j) - set(i)) for between in (False, True)
        )
        for k, (i, one) in enumerate(parts) for j, other in parts[k + 1 :]
    )  # fmt: skip


def sandwiches(tree: ast.AST) -> Iterator[str]:
    """F P F' written out, by whatever names and in whatever spelling: how a filter of one's own carries a covariance on."""
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.Lambda | ast.Module)]
    seen: set[ast.AST] = set()
    for scope in reversed(scopes):  # the inner ones first
        named: dict[str, ast.expr] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                if len(factors(node.value, {})) > 1:
                    named[node.targets[0].id] = node.value
        for node in ast.walk(scope):
            if not isinstance(node, ast.BinOp | ast.Call) or node in seen:
                continue
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "einsum":
                if node.args and summed(node):
                    yield ast.unparse(node)
                seen.add(node)
                continue
            product = factors(node, named)
            if len(product) < 3:
                continue
            seen.update(ast.walk(node))
            if any(
                one == other and turned != back
                for i, (one, turned) in enumerate(product) for other, back in product[i + 2 :]
            ):  # fmt: skip
                yield ast.unparse(node)


def test_no_filter_of_its_own_is_written_anywhere(shipped):
    """A second estimator that asks nobody: added beside the first, nothing had noticed it (found by an auditor)."""
    found = {path.as_posix(): list(sandwiches(tree)) for path, tree in shipped.items()}
    assert {path: len(those) for path, those in found.items() if those} == {
        "imagery/scan.py": 1,  # of an object's size, from pixels to metres
        "tracking/bank.py": 1, "tracking/contacts.py": 1,  # a part of the state, and axes that turn
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "p = f @ p @ f.T + q", "a.p = a.f @ a.p @ a.f.T", "return h @ p @ q @ h.mT", "p = f @ (p @ f.T)",
        "p = f.dot(p).dot(f.T)",
        "p = np.dot(np.dot(f, p), f.T)", "p = np.matmul(np.matmul(f, p), f.T) + q", "p = f @ p @ f.transpose()",
        "p = f @ p @ np.transpose(f)", "p = f @ p @ f.swapaxes(-1, -2)", "p = np.linalg.multi_dot([f, p, f.T])",
        "p = np.einsum('ij,jk,lk->il', f, p, f)", "p = np.einsum('nij,njk,nlk->nil', f, p, f)",
        "half = f @ p\np = half @ f.T", "def on(f, p):\n    half = np.dot(f, p)\n    return half @ f.T",
    ],
)  # fmt: skip
def test_a_covariance_that_is_carried_on_is_seen(text):
    assert len(list(sandwiches(ast.parse(text)))) == 1


@pytest.mark.parametrize(
    "text", ["e @ s @ g", "np.einsum('ni,nij,nj->n', e, s, e)", "a = b @ c\nd = a @ e", "x.dot(y)", "f @ p @ g.T"]
)
def test_what_carries_nothing_on_is_no_sandwich(text):
    assert not list(sandwiches(ast.parse(text)))


def test_nothing_in_the_tree_predicts_a_track_but_the_one_estimator(shipped):
    """The fold, `track` and `locate` are one estimator; a second Kalman filter begins with a prediction of its own."""
    found: dict[str, set[str]] = {name: set() for name in PREDICTS}
    for path, tree in shipped.items():
        for node in ast.walk(tree):  # also without a call: who has it by another name may call that
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name in found and isinstance(node.ctx, ast.Load):
                found[name].add(path.as_posix())
    assert {name: where - PREDICTS[name] for name, where in found.items()} == dict.fromkeys(PREDICTS, set())
    assert all(found.values()), "what is asked about is there"


def test_no_file_imports_itself_through_others():
    """Of two files one stands below the other, also where the import is for types only: a circle is one file in two parts."""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    above = {module: graph.find_modules_directly_imported_by(module) & graph.modules for module in graph.modules}
    while True:  # take away whoever imports nobody that is left
        free = {module for module, below in above.items() if not below & above.keys()}
        if not free:
            break
        above = {module: below for module, below in above.items() if module not in free}
    assert not above, f"in a circle, or above one: {sorted(above)}"


def test_no_conformance_suite_reaches_into_a_private_name(root):
    """They judge what others write too: what they ask for is the protocol, and nothing beside it."""
    reached = []
    for path in sorted((root / "tests" / "conformance").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                if re.match(r"_[a-z]", node.attr) and ast.unparse(node.value) not in ("self", "cls"):
                    reached.append(f"{path.name}:{node.lineno} {ast.unparse(node)}")
            elif isinstance(node, ast.ImportFrom):
                reached += [f"{path.name}:{node.lineno} {a.name}" for a in node.names if re.match(r"_[a-z]", a.name)]
    assert not reached


def test_no_module_is_left_out_of_the_types(project):
    """Strict for the four rooms that others build on; of the kernels Numba knows the kinds."""
    mypy = project["tool"]["mypy"]
    strict = {name for one in mypy["overrides"] if one.get("disallow_untyped_defs") for name in one["module"]}
    assert strict == {"birddog.*", "devices.*", "ingest.*", "tracking.*"}
    assert not [one for one in mypy["overrides"] if one.get("ignore_errors")]
    compiled = [one["module"] for one in mypy["overrides"] if one.get("disallow_untyped_defs") is False]
    assert compiled == [["tracking.kernel", "tracking.crowd_kernel"]]
