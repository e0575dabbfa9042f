/**
 * The commands that look after ingle, and how a command that fails says so.
 *
 * Knows VS Code; what the programs of the installation do is theirs.
 */
import * as vscode from "vscode";
import type { Server } from "./client.ts";
import { chooseModel, showMenu } from "./menu.ts";
import { ask, tell, typeInstallCommand } from "./program.ts";

export type Commands = Record<string, () => unknown>;

/** Register commands under `ingle.`. What one throws is shown: it is a sentence for the user. */
export function register(commands: Commands): vscode.Disposable {
  const registered = Object.entries(commands).map(([name, run]) =>
    vscode.commands.registerCommand(`ingle.${name}`, async () => {
      try {
        await run();
      } catch (error) {
        void vscode.window.showErrorMessage(`ingle: ${error instanceof Error ? error.message : String(error)}`);
      }
    }),
  );
  return vscode.Disposable.from(...registered);
}

/** The commands, by their names. */
export function careCommands(server: Server): Commands {
  const report = async (...words: string[]) => {
    const title = `ingle ${words.join(" ")}`;
    const text = await meanwhile(title, () => tell(...words));
    server.channel.info(`${title}\n${text}`);
    server.channel.show();
  };
  return {
    menu: () => showMenu(server.status),
    toggleHere: () => toggle(vscode.ConfigurationTarget.Workspace),
    toggleEverywhere: () => toggle(vscode.ConfigurationTarget.Global),
    switchModel: async () => {
      const model = await chooseModel();
      if (model !== undefined) {
        void vscode.window.showInformationMessage(`ingle: ${(await tell("model", "use", model)).trim()}`);
      }
    },
    showLog: () => {
      server.channel.show();
    },
    showDaemonLog: async () => {
      const { log, journal } = await ask<{ log: string; journal: string }>("status");
      if (journal) {
        const terminal = vscode.window.createTerminal({ name: "ingled" });
        terminal.show();
        terminal.sendText(journal);
      } else {
        await vscode.window.showTextDocument(vscode.Uri.file(log));
      }
    },
    showWhy: () => report("why", "completions"),
    doctor: () => report("doctor"),
    restart: () => meanwhile("Restarting ingle-lsp", () => server.restart()),
    install: () => {
      install(server);
    },
    settings: () => vscode.commands.executeCommand("workbench.action.openSettings", "@ext:ingle.ingle"),
  };
}

/** Do something, and say so in the status bar until it is done. */
function meanwhile<T>(title: string, work: () => Promise<T>): Thenable<T> {
  return vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title }, work);
}

/** Say that there is no server, and offer what helps. */
export async function offerInstall(server: Server, message: string): Promise<void> {
  const typeIt = "Install in a Terminal…";
  const setIt = "Say Where It Is…";
  const chosen = await vscode.window.showWarningMessage(`ingle: ${message}`, typeIt, setIt);
  if (chosen === typeIt) {
    install(server);
  } else if (chosen === setIt) {
    await vscode.commands.executeCommand("workbench.action.openSettings", "ingle.path");
  }
}

/** Type the command into a terminal. What came of it is looked at when the terminal is closed. */
function install(server: Server): void {
  const terminal = typeInstallCommand();
  const closing = vscode.window.onDidCloseTerminal((closed) => {
    if (closed === terminal) {
      closing.dispose();
      void server.restartIfMoved();
    }
  });
}

/** Here is the workspace; everywhere is the user's setting, and what was set here for itself gives way. */
async function toggle(target: vscode.ConfigurationTarget): Promise<void> {
  const settings = vscode.workspace.getConfiguration("ingle");
  const on = !settings.get<boolean>("enabled", true);
  if (target === vscode.ConfigurationTarget.Workspace && !vscode.workspace.workspaceFolders) {
    throw new Error("No folder is open that could remember it: turn completion on or off everywhere.");
  }
  await settings.update("enabled", on, target);
  if (target === vscode.ConfigurationTarget.Global && settings.inspect("enabled")?.workspaceValue !== undefined) {
    await settings.update("enabled", undefined, vscode.ConfigurationTarget.Workspace);
  }
}
