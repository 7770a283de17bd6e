"""A real Slurm of one node on this machine: munge, MariaDB, slurmdbd, slurmctld and slurmd, as root, without systemd.

Its five GPUs are /dev/null under other names, its 64 CPUs and 400 GB are pretended; limits of memory are real cgroups.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db", "munged")
# Where every Slurm command looks: a job's steps are started without SLURM_CONF.
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf", "slurmdbd.conf")
SECRET = "ballast"
HOST = socket.gethostname().split(".")[0]

SLURM = """
ClusterName=ballast
FirstJobId={first}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MpiDefault=none
ReturnToService=2
MinJobAge=300
ProctrackType=proctrack/cgroup
TaskPlugin=task/affinity,task/cgroup
JobAcctGatherType=jobacct_gather/linux
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 Feature=48gb CPUs=64 RealMemory=400000 Gres=gpu:l40s:4,gpu:a100:1
PartitionName=cpu Nodes=ALL Default=YES PriorityTier=10 PreemptMode=OFF
PartitionName=gpu-l40s Nodes=ALL PriorityTier=10 PreemptMode=OFF
PartitionName=gpu-spare Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE
"""
ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
AccountingStoragePass={folder}/munge/socket
"""
DATABASE = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost={host}
DbdAddr=127.0.0.1
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=13306
StorageUser=slurm
StoragePass={secret}
StorageLoc=slurm
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""


def missing() -> str:
    """Why there can be no cluster on this machine; empty if there can."""
    if os.geteuid():
        return "a cluster of one node is started by root only"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(absent)} not installed; `make test-slurm` installs them"
    if foreign := [name for name in FILES if (ETC / name).exists() and not (ETC / name).is_symlink()]:
        return f"this machine has a Slurm of its own: {ETC / foreign[0]}"
    return ""


class Cluster:
    """The daemons and what they say of jobs. `accounting=False` leaves slurmdbd out."""

    def __init__(self, folder: Path, accounting: bool = True):
        self.folder, self.accounting = folder, accounting
        self.started: list[subprocess.Popen] = []

    def start(self) -> None:
        for name in ("munge", "state", "spool", "database"):
            (self.folder / name).mkdir(parents=True)
        self._configure()
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        (self.folder / "munge").chmod(0o711)
        places = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={self.folder}/munge/{name}" for option, name in places.items()]
        self._daemon("munged", "--foreground", "--force", *munge)
        until((self.folder / "munge/socket").exists)
        if self.accounting:
            self._start_accounting()
        self._daemon("slurmctld", "-D")
        self._daemon("slurmd", "-D", "-N", HOST)
        until(self._is_idle)

    def _configure(self) -> None:
        for number in range(5):
            os.mknod(self.folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
        # Groups of processes in the kernel outlive a cluster that was killed, by the ids of their jobs.
        first = int(time.time()) % 10_000_000
        text = SLURM + (ACCOUNTING if self.accounting else "")
        texts = {
            "slurm.conf": text.format(host=HOST, folder=self.folder, first=first),
            "gres.conf": f"Name=gpu Type=l40s File={self.folder}/gpu[0-3] Flags=nvidia_gpu_env\n"
            f"Name=gpu Type=a100 File={self.folder}/gpu4 Flags=nvidia_gpu_env\n",
            "cgroup.conf": "CgroupAutomount=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n",
            "slurmdbd.conf": DATABASE.format(host=HOST, folder=self.folder, secret=SECRET),
        }
        ETC.mkdir(exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o600)
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.folder / name)

    def _start_accounting(self) -> None:
        data, place = self.folder / "database", f"{self.folder}/database/socket"
        install = ["mariadb-install-db", "--user=root", f"--datadir={data}", "--skip-test-db"]
        subprocess.run([*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        where = [f"--datadir={data}", f"--socket={place}", "--port=13306", "--bind-address=127.0.0.1"]
        self._daemon("mariadbd", "--no-defaults", "--user=root", *where)
        until(lambda: self.said("mariadb-admin", f"--socket={place}", "ping"))
        user = f"create user slurm@'127.0.0.1' identified by '{SECRET}'; grant all on *.* to slurm@'127.0.0.1'"
        subprocess.run(["mariadb", f"--socket={place}", "--execute", user], check=True)
        self._daemon("slurmdbd", "-D")
        # The first to ask is told that the cluster is not known yet, by a failure.
        until(lambda: self.said("sacctmgr", "--immediate", "--noheader", "add", "cluster", "ballast"))
        self.said("sacctmgr", "--immediate", "add", "account", "lab")
        self.said("sacctmgr", "--immediate", "add", "user", "root", "account=lab")

    def _daemon(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.said", "w") as said:
            self.started.append(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT))

    def stop(self) -> None:
        self.said("scancel", "--user=root")
        with suppress(AssertionError):
            until(lambda: not self.said("squeue", "--noheader"))
        for daemon in reversed(self.started):
            self._end(daemon)
        # A Slurm command without a configuration fails at once; one whose daemons are gone waits for them.
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)

    @staticmethod
    def _end(daemon: subprocess.Popen) -> None:
        daemon.terminate()
        try:
            daemon.wait(15)
        except subprocess.TimeoutExpired:
            daemon.kill()

    def said(self, *command: str) -> str:
        """What a Slurm command prints; nothing if it fails."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def records(self, folder: Path) -> list[dict[str, str]]:
        """Slurm's own record of each job of a study's folder, oldest first; one that was requeued has several."""
        names = ("JobIDRaw", "WorkDir", "Comment", "State", "Partition", "ReqTRES", "Timelimit", "ReqCPUS")
        names += ("Account", "QOS", "Constraints")
        since = "--starttime=now-1days"  # else sacct begins at midnight
        said = self.said(
            "sacct", "-X", "--duplicates", "--parsable2", "--noheader", since, f"--format={','.join(names)}"
        )
        records = [dict(zip(names, line.split("|"), strict=True)) for line in said.splitlines()]
        return [record for record in records if record["WorkDir"] == str(folder)]

    @contextmanager
    def without_accounting(self) -> Iterator[None]:
        """The same cluster, while slurmdbd is not part of it."""
        conf = self.folder / "slurm.conf"
        whole = conf.read_text()
        conf.write_text(whole.replace(ACCOUNTING.format(folder=self.folder), ""))
        self._restart("slurmctld", "slurmd")
        try:
            yield
        finally:
            conf.write_text(whole)
            self._restart("slurmctld", "slurmd")

    def fail_node(self, job: str) -> None:
        """Let the only node fail while it runs this job, and come back."""
        update = ["scontrol", "update", f"NodeName={HOST}"]
        subprocess.run([*update, "State=DOWN", "Reason=test"], check=True)
        until(lambda: subprocess.run(["pgrep", "--full", rf"slurmstepd: \[{job}\."], capture_output=True).returncode)
        # As after a reboot: a slurmd that still knows the job would not start it again.
        self._restart("slurmd")

    def _restart(self, *programs: str) -> None:
        for program in programs:
            [daemon] = [daemon for daemon in self.started if daemon.args[0] == program]
            self._end(daemon)
            self.started.remove(daemon)
            self._daemon(*daemon.args)
        until(self._is_idle)

    def _is_idle(self) -> bool:
        """Whether the node takes jobs; one that is down is told to."""
        said = self.said("sinfo", "--noheader", "--format=%t")
        if said.startswith("down"):
            self.said("scontrol", "update", f"NodeName={HOST}", "State=RESUME")
        return said.startswith("idle")


def until(holds: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)
