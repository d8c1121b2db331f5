"""Faults: full disks, limited file sizes, read-only directories, files in place of directories."""

import os
import resource
import shutil
import subprocess

from faults.harness import Harness, Verdict, refused, spawned


def disk_full(harness: Harness) -> Verdict:
    """Fill the disk at several moments: the run is refused, and resumes once there is space."""
    whole = sum(file.stat().st_size for file in harness.baseline().rglob("*") if file.is_file())
    workdir, line = harness.folder / "disk_full", ""
    workdir.mkdir()
    for share in (0.2, 0.4, 0.6, 0.8):
        if not _mount("-t", "tmpfs", "-o", f"size={int(share * whole)}", "tmpfs", str(workdir)):
            shutil.rmtree(workdir)
            return Verdict(None, "no permission to mount a file system; see quota")
        try:
            verdict = refused(harness.train(workdir / "run"), "cannot write", "No space left")
            line = f"{verdict.line} [at {share:.0%} of a run's size, in a mounted tmpfs]"
            if not verdict.passed:
                return verdict._replace(line=line)
            _mount("-o", "remount,size=1G", str(workdir))
            verdict = harness.resume(workdir / "run", line)
            if not verdict.passed:
                return verdict
        finally:
            subprocess.run(["umount", str(workdir)], check=True)
    return Verdict(True, line)


def quota(harness: Harness) -> Verdict:
    """Limit the size of files, so that a write fails half-way although the disk has space."""
    sizes = [file.stat().st_size for file in harness.baseline().rglob("*") if file.is_file()]
    workdir, line = harness.folder / "quota", ""
    for share in (0.1, 0.5):
        limit = int(share * max(sizes))
        outcome = spawned(
            harness.words(workdir),
            lambda n=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n)),
        )
        verdict = refused(outcome, "cannot write")
        if not verdict.passed:
            return verdict
        line = f"{verdict.line} [files of at most {limit} bytes]"
    return harness.resume(workdir, line)


def read_only(harness: Harness) -> Verdict:
    """Train in a directory that is read-only."""
    workdir = harness.folder / "read_only"
    workdir.mkdir()
    if os.geteuid():
        workdir.chmod(0o500)
        try:
            verdict = refused(harness.train(workdir), "cannot write", "Permission denied")
        finally:
            workdir.chmod(0o700)
        return verdict
    if not _mount("--bind", str(workdir), str(workdir)):
        return Verdict(None, "root ignores file modes, and has no permission to mount")
    try:
        _mount("-o", "remount,ro,bind", str(workdir))
        verdict = refused(harness.train(workdir), "cannot write", "Read-only")
        return verdict._replace(line=f"{verdict.line} [mounted read-only: root ignores file modes]")
    finally:
        subprocess.run(["umount", str(workdir)], check=True)


def file_for_folder(harness: Harness) -> Verdict:
    """Put files where the run needs directories of the same names."""
    verdict = Verdict(False, "")
    for name in ("checkpoints", "samples"):
        workdir = harness.folder / f"file_for_{name}"
        workdir.mkdir()
        (workdir / name).touch()
        verdict = refused(harness.train(workdir), "cannot write", name)
        if not verdict.passed:
            return verdict
    return verdict


def _mount(*words: str) -> bool:
    """Call `mount`; return False where this process has no permission to."""
    try:
        return not subprocess.run(["mount", *words], capture_output=True).returncode
    except OSError:
        return False
