/**
 * The programs of the installation: which `ingle-lsp` to start, and `ingle`, which lies beside it.
 *
 * Knows the file system and processes; where to look is `find.ts`'s.
 */
import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import * as vscode from "vscode";
import { activeEnvironments } from "./environments.ts";
import { find, type Found, installCommand } from "./find.ts";

/** Find the `ingle-lsp` to start, as things are now. */
export async function findServer(): Promise<Found> {
  return find(
    {
      setting: vscode.workspace.getConfiguration("ingle").get("path", ""),
      environments: await activeEnvironments(),
      home: homedir(),
      variables: process.env,
    },
    isProgram,
  );
}

/** What `ingle` prints, errors and all: it is for people to read. */
export async function tell(...words: string[]): Promise<string> {
  const { printed, complained } = await runIngle(words);
  return printed + complained;
}

/** What `ingle` answers as JSON. Throws what it complains of. */
export async function ask<T>(...words: string[]): Promise<T> {
  const { printed, complained } = await runIngle([...words, "--json"]);
  if (!printed) {
    throw new Error(complained.trim());
  }
  return JSON.parse(printed) as T;
}

/** Open a terminal with the command that installs ingle typed into it. Running it is the user's. */
export function typeInstallCommand(): vscode.Terminal {
  const terminal = vscode.window.createTerminal({ name: "Install ingle" });
  terminal.show();
  terminal.sendText(installCommand(onPath), false);
  return terminal;
}

async function runIngle(words: string[]): Promise<{ printed: string; complained: string }> {
  const found = await findServer();
  if ("missing" in found) {
    throw new Error(found.missing);
  }
  const environment = { ...process.env, NO_COLOR: "1" };
  return new Promise((resolve, reject) => {
    execFile(join(dirname(found.path), "ingle"), words, { env: environment }, (error, printed, complained) => {
      // An exit code is a number, and what it means is printed. A word says that there was no process at all.
      if (error && typeof error.code === "string") {
        reject(new Error(`${error.path ?? "ingle"} cannot be run: ${error.code}`));
      } else {
        resolve({ printed, complained });
      }
    });
  });
}

function onPath(name: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => folder && isProgram(join(folder, name)));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
