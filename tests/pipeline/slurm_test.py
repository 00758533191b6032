#!/usr/bin/python3
# turn: 1 (tests/run)
"""The job scripts of deploy/ under a real Slurm: a controller and a node of this test's own, with paths and ports of their own. Needs
root, slurmctld, slurmd and munge (Debian's packages of these names); skips where they are missing.
timeout: 300
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from relay import *

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
NEEDED = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"]
SERVICES = []


def service(*words, env=None):
    log = open(path(os.path.basename(words[0]) + ".out"), "w")
    SERVICES.append(subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, start_new_session=True))


def slurm(*words):
    p = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    return p.stdout + p.stderr


def start_slurm():
    host = socket.gethostname().split(".")[0]
    ctl, node = free_ports(2)
    for d in ("munge", "ctl", "node", "run"):
        os.makedirs(path(d), exist_ok=True)
        os.chmod(path(d), 0o755)
    os.chmod(FOLDER, 0o755)
    with open(path("munge/key"), "wb") as f:
        f.write(os.urandom(1024))
    os.chmod(path("munge/key"), 0o600), os.chmod(path("munge"), 0o711)
    with open(path("slurm.conf"), "w") as f:
        f.write("ClusterName=test\nSlurmctldHost=%s(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nSlurmctldPort=%d\nSlurmdPort=%d\n"
                "AuthType=auth/munge\nAuthInfo=socket=%s\nCredType=cred/munge\nStateSaveLocation=%s\nSlurmdSpoolDir=%s\nSlurmctldPidFile=%s\nSlurmdPidFile=%s\n"
                "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nReturnToService=2\n"
                "SlurmdParameters=config_overrides\nSwitchType=switch/none\nMpiDefault=none\nSlurmctldTimeout=30\nKillWait=5\nJobRequeue=1\nMinJobAge=300\n"
                "SchedulerParameters=sched_interval=1,sched_min_interval=0,requeue_setup_env_fail\n"
                "NodeName=%s NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 State=UNKNOWN\nPartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
                % (host, ctl, node, path("munge/socket"), path("ctl"), path("node"), path("run/ctl.pid"), path("run/node.pid"), host))
    os.environ["SLURM_CONF"] = path("slurm.conf")
    service("/usr/sbin/munged", "--foreground", "--force", "--socket=" + path("munge/socket"), "--key-file=" + path("munge/key"),
            "--pid-file=" + path("munge/pid"), "--log-file=" + path("munge/log"), "--seed-file=" + path("munge/seed"))
    time.sleep(0.5)
    service("/usr/sbin/slurmctld", "-D", "-i", "-f", path("slurm.conf"))
    service("/usr/sbin/slurmd", "-D", "-f", path("slurm.conf"), "-N", host)
    for _ in range(120):
        if "idle" in slurm("sinfo", "-h", "-o", "%T"):
            return
        time.sleep(0.25)
    raise Failed("no node: " + slurm("sinfo", "-l") + "".join(open(path(n)).read()[-600:] for n in ("slurmctld.out", "slurmd.out")))


def submit(*words):
    out = slurm("sbatch", "--parsable", "--mem-per-cpu=100", "--cpus-per-task=1", *[str(w) for w in words])
    need(out.split(";")[0].strip().isdigit(), out)
    return out.split(";")[0].strip()


def state(job):
    said = slurm("scontrol", "show", "job", job)
    return said.split("JobState=")[1].split()[0] if "JobState=" in said else said


def over(job):
    """A job that is put back into the queue is called FAILED for a moment: only a state that stays counts."""
    for look in range(5):
        if state(job) in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "SUSPENDED"): return False
        if state(job) == "COMPLETED": return True
        time.sleep(0.5)
    return True


def ended(job, seconds=120):
    end = time.time() + seconds
    while not over(job):
        need(time.time() < end, "job %s is still %s: %s" % (job, state(job), slurm("scontrol", "show", "job", job)))
        time.sleep(0.3)
    return state(job)


ENV = "--export=ALL,GEMMAPIPE_BIN=%s,OMPI_ALLOW_RUN_AS_ROOT=1,OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1" % os.path.dirname(GEMMAPIPE)


def prompts():
    with open(path("prompts.txt"), "w") as f:
        f.write("What is 3 + 4?\nOpposite of hot?\n")
    job = submit("--ntasks=3", "--time=5", "--output=" + path("run.out"), ENV, os.path.join(ROOT, "deploy/slurm.sbatch"), DEMO, path("prompts.txt"), "--temp", "0")
    how = ended(job)
    out = open(path("run.out")).read()
    need(how == "COMPLETED" and "3 + 4 = 7.\nThe opposite of hot is cold.\n" in out, "%s %s" % (how, out))


def by_srun():
    out = slurm("srun", "--mpi=pmix", "-n", "3", "--mem=0", "--time=2", GEMMAPIPE, "run", "--model", DEMO, "--temp", "0", "--quiet", "What is 3 + 4?")
    need("3 + 4 = 7." in out, out)


def requeued():
    """A job whose rank is killed in the middle puts itself back into the queue, and its results are those of a quiet run."""
    lines = [json.dumps({"custom_id": "r%d" % i, "method": "POST", "url": "/v1/completions", "body": {"prompt": "Once %d" % i, "max_tokens": 120, "temperature": 0}})
             for i in range(400)]
    with open(path("jobs.jsonl"), "w") as f:
        f.write("\n".join(lines) + "\n")
    good(GEMMAPIPE, "batch", "--model", DEMO, "--in", path("jobs.jsonl"), "--out", path("quiet.jsonl"), "--quiet")
    job = submit("--ntasks=3", "--time=5", "--output=" + path("batch.out"), "--signal=B:USR1@60", ENV, os.path.join(ROOT, "deploy/slurm-batch.sbatch"), DEMO,
                 path("jobs.jsonl"), path("results.jsonl"))
    end = time.time() + 60
    victim = None
    while not victim and time.time() < end and state(job) in ("PENDING", "RUNNING", "CONFIGURING"):
        if os.path.exists(path("results.jsonl.journal")) and os.path.getsize(path("results.jsonl.journal")) > 3000:
            ranks = slurm("pgrep", "-x", "-f", GEMMAPIPE + " batch .*" + path("results.jsonl") + ".*").split()
            victim = ranks[-1] if ranks else None
        time.sleep(0.01)
    need(victim, "the job ended before a rank could be killed: " + state(job))
    os.kill(int(victim), 9)
    slow = time.time() + 150
    while "Restarts=0" in slurm("scontrol", "show", "job", job) and not over(job):
        need(time.time() < slow, "not requeued: " + slurm("scontrol", "show", "job", job) + open(path("batch.out")).read()[-1500:])
        time.sleep(0.3)
    while b"slurmstepd: [%s." % job.encode() in subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE).stdout:  # of before: while it is there no other can start
        need(time.time() < slow, "what was requeued does not end")
        time.sleep(0.3)
    time.sleep(1)
    slurm("scontrol", "update", "job=" + job, "StartTime=now")  # Slurm holds what is requeued back for two minutes
    how = ended(job, 180)
    need(how == "COMPLETED", how + slurm("scontrol", "show", "job", job) + open(path("batch.out")).read()[-1500:])
    need(open(path("results.jsonl")).read() == open(path("quiet.jsonl")).read(), "the results differ from a quiet run's")
    need("Restarts=0" not in slurm("scontrol", "show", "job", job), "it was never requeued")


def shared():
    """An array of two pipelines shares a job; put together their results are those of one."""
    lines = [json.dumps({"custom_id": "s%d" % i, "body": {"prompt": "Once %d" % i, "max_tokens": 5, "temperature": 0}, "method": "POST", "url": "/v1/completions"})
             for i in range(7)]
    with open(path("all.jsonl"), "w") as f:
        f.write("\n".join(lines) + "\n")
    good(GEMMAPIPE, "batch", "--model", DEMO, "--in", path("all.jsonl"), "--out", path("one.jsonl"), "--quiet")
    job = submit("--ntasks=2", "--array=0-1", "--time=5", "--output=" + path("array-%a.out"), ENV, os.path.join(ROOT, "deploy/slurm-batch.sbatch"), DEMO,
                 path("all.jsonl"), path("parts.jsonl"))
    for k in "01":
        how = ended(job + "_" + k)
        need(how == "COMPLETED", how + open(path("array-%s.out" % k)).read()[-1000:])
    both = subprocess.run("paste -d '\\n' %s.000? | sed '/^$/d'" % path("parts.jsonl"), shell=True, capture_output=True).stdout.decode()
    bodies = lambda text: [(r["custom_id"], r["response"]["body"]["choices"]) for r in map(json.loads, text.splitlines())]
    need(bodies(both) == bodies(open(path("one.jsonl")).read()), both)


missing = [n for n in NEEDED if not shutil.which(n, path=os.environ["PATH"] + ":/usr/sbin")]
if missing or os.getuid():
    print("skip job_scripts_run_under_slurm: %s" % ("%s not installed" % ", ".join(missing) if missing else "not root"))
else:
    try:
        start_slurm()
        claim("prompts_are_answered_by_a_job", prompts)
        claim("srun_starts_the_ranks_by_pmix", by_srun)
        claim("a_batch_job_whose_rank_is_killed_queues_again_and_ends_with_the_same_bytes", requeued)
        claim("an_array_of_pipelines_shares_a_job", shared)
    finally:
        slurm("scancel", "--user=root") # a step that outlives its node's service would stay
        for _ in range(60):
            if not slurm("squeue", "-h").strip():
                break
            time.sleep(0.25)
        for p in reversed(SERVICES):
            p.terminate()
        for p in SERVICES:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
    finish()
