/**
 * The status bar's item and the menu behind it.
 *
 * Knows what there is to choose; how a status reads is `status.ts`'s, and every choice is a command.
 */
import * as vscode from "vscode";
import { ask } from "./program.ts";
import { shown, type Status } from "./status.ts";

/** `ingle model list --json`, as much as is needed of it. */
interface Models {
  installed: { name: string; current: boolean }[];
}

export class StatusBar implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("ingle.status", vscode.StatusBarAlignment.Right, 100);

  constructor() {
    this.#item.name = "ingle";
    this.#item.command = "ingle.menu";
    this.#item.show();
  }

  show(status: Status): void {
    const { text, tooltip, label, warning } = shown(status);
    this.#item.text = text;
    this.#item.tooltip = tooltip;
    this.#item.accessibilityInformation = { label, role: "button" };
    this.#item.backgroundColor = warning ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
  }

  dispose(): void {
    this.#item.dispose();
  }
}

/** Show the menu; what is chosen is run. */
export async function showMenu(status: Status): Promise<void> {
  const on = vscode.workspace.getConfiguration("ingle").get<boolean>("enabled", true);
  const verb = on ? "Turn off" : "Turn on";
  const choice = (icon: string, label: string, command: string) => ({ label: `$(${icon}) ${label}`, command });
  const choices = [
    choice(on ? "circle-slash" : "flame", `${verb} here`, "ingle.toggleHere"),
    choice(on ? "circle-slash" : "flame", `${verb} everywhere`, "ingle.toggleEverywhere"),
    choice("arrow-swap", "Switch model…", "ingle.switchModel"),
    choice("question", "Why was there no completion?", "ingle.showWhy"),
    choice("output", "Open log", "ingle.showLog"),
    choice("output", "Open the daemon's log", "ingle.showDaemonLog"),
    choice("heart", "Run doctor", "ingle.doctor"),
    choice("refresh", "Restart language server", "ingle.restart"),
    choice("gear", "Settings", "ingle.settings"),
  ];
  const chosen = await vscode.window.showQuickPick(choices, { title: shown(status).tooltip.replaceAll("\n", " · ") });
  if (chosen) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

/** Let the user choose among the models on this machine; undefined when none was chosen. */
export async function chooseModel(): Promise<string | undefined> {
  const { installed } = await ask<Models>("model", "list");
  if (installed.length === 0) {
    throw new Error("No model is on this machine. In a terminal, `ingle model pull` gets one.");
  }
  const choices = installed.map(({ name, current }) => ({ label: name, description: current ? "in use" : "" }));
  return (await vscode.window.showQuickPick(choices, { title: "Model for every editor and terminal" }))?.label;
}
