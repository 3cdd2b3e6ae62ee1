"""Steps: each is named, timed out, printed, and written to $CLIENTS_RESULTS for the script that counts them."""

import asyncio
import os
import subprocess
import sys
import time
import traceback

LIBRARY = "matrix-nio"
STEP_SECONDS = 60
WAIT_SECONDS = 20

failed = 0


async def step(name, act):
    """Runs one step; a failure is noted and the scenario goes on. Returns what `act` returned."""
    global failed
    started = time.monotonic()
    try:
        value = await asyncio.wait_for(act(), STEP_SECONDS)
    except Exception:
        failed += 1
        note("fail", name, traceback.format_exc())
        return None
    note("pass", name, f"{(time.monotonic() - started) * 1000:.0f} ms")
    return value


async def need(name, act):
    """A step that the rest cannot do without: the program ends when it fails."""
    before = failed
    value = await step(name, act)
    if failed > before:
        finish()
    return value


def finish():
    sys.stdout.flush()
    os._exit(0 if failed == 0 else 1)


def note(outcome, name, detail):
    print(f"{'ok  ' if outcome == 'pass' else 'FAIL'} {LIBRARY}: {name} ({detail})", flush=True)
    if path := os.environ.get("CLIENTS_RESULTS"):
        with open(path, "a") as results:
            results.write(f"{outcome} {name}\n")


async def until(what, probe):
    """Waits until `probe` (a function or a coroutine function) gives something true, and returns that."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = probe()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {WAIT_SECONDS} s for {what}")


async def server(command):
    """Tells the homeserver's script what to do: `restart`, `kill`, `start`."""
    await asyncio.to_thread(subprocess.run, [os.environ["CLIENTS_SERVER"], command], check=True)
