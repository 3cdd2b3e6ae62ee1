// Steps: each is named, timed out, printed, and written to $CLIENTS_RESULTS for the script that counts them.

import { appendFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const LIBRARY = "matrix-js-sdk";
const STEP_TIMEOUT_MS = 60_000;
const WAIT_MS = 20_000;

// The SDK writes its log to the console as soon as it is loaded: this module is imported before it.
if (!process.env.VERBOSE) {
    for (const level of ["trace", "debug", "info", "log", "warn", "error"]) console[level] = () => {};
}
// It also asks for things in the background and lets go of the answer, which fails while the server is away.
process.on("unhandledRejection", (error) => console.warn(`in the background: ${error}`));

let failed = 0;

/** Runs one step; a failure is noted and the scenario goes on. Returns what `act` returned. */
export async function step(name, act) {
    const started = Date.now();
    let timer;
    const timeout = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`took over ${STEP_TIMEOUT_MS} ms`)), STEP_TIMEOUT_MS);
    });
    try {
        const value = await Promise.race([act(), timeout]);
        note("pass", name, `${Date.now() - started} ms`);
        return value;
    } catch (error) {
        failed += 1;
        note("fail", name, String(error.stack ?? error));
        return undefined;
    } finally {
        clearTimeout(timer);
    }
}

/** A step that the rest cannot do without: the program ends when it fails. */
export async function need(name, act) {
    const before = failed;
    const value = await step(name, act);
    if (failed > before) finish();
    return value;
}

/** Ends the program. The SDK keeps timers, so the process would not end by itself. */
export function finish() {
    process.exit(failed === 0 ? 0 : 1);
}

function note(outcome, name, detail) {
    process.stdout.write(`${outcome === "pass" ? "ok  " : "FAIL"} ${LIBRARY}: ${name} (${detail})\n`);
    if (process.env.CLIENTS_RESULTS) appendFileSync(process.env.CLIENTS_RESULTS, `${outcome} ${name}\n`);
}

/** Waits until `probe` returns something truthy, and returns that. */
export async function until(what, probe) {
    const deadline = Date.now() + WAIT_MS;
    let last;
    while (Date.now() < deadline) {
        try {
            const value = await probe();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`waited ${WAIT_MS} ms for ${what}${last ? `: ${last}` : ""}`);
}

/** Tells the homeserver's script what to do: `restart`, `kill`, `start`. */
export async function server(command) {
    await promisify(execFile)(process.env.CLIENTS_SERVER, [command]);
}
