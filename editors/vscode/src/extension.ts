/**
 * ingle in VS Code: one language server a window, for all its folders. This module says only what belongs together.
 */
import * as vscode from "vscode";
import { actionCommands } from "./actions.ts";
import { Server } from "./client.ts";
import { careCommands, offerInstall, register } from "./commands.ts";
import { Completions } from "./completions.ts";
import { watchEnvironments } from "./environments.ts";
import { StatusBar } from "./menu.ts";
import { forServer } from "./settings.ts";

let server: Server | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const completions = new Completions();
  const started = new Server(settingsOf(context.extension), completions.middleware);
  server = started;
  const bar = new StatusBar();
  context.subscriptions.push(
    started,
    bar,
    started.onStatus((status) => {
      bar.show(status);
    }),
    started.onMissing((message) => void offerInstall(started, message)),
    started.onStarted((version) => {
      greet(started, version, context.extension);
    }),
    register({ ...completions.commands(started), ...actionCommands(started), ...careCommands(started) }),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("ingle.path")) {
        void started.restart();
      } else if (event.affectsConfiguration("ingle")) {
        started.configure();
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void started.restart()),
    vscode.languages.onDidChangeDiagnostics(({ uris }) => {
      started.tellDiagnostics(uris);
    }),
  );
  await started.restart();
  context.subscriptions.push(await watchEnvironments(() => void started.restartIfMoved()));
}

export async function deactivate(): Promise<void> {
  await server?.stop();
}

function settingsOf(extension: vscode.Extension<unknown>): () => Record<string, unknown> {
  const { contributes } = extension.packageJSON as Manifest;
  const names = contributes.configuration.flatMap(({ properties }) => Object.keys(properties));
  return () => {
    const settings = vscode.workspace.getConfiguration("ingle");
    return forServer(names, (name) => settings.get(name));
  };
}

/** A server has started: tell it what is known, and the user if it is not the one that the extension was made for. */
function greet(started: Server, version: string, extension: vscode.Extension<unknown>): void {
  const own = (extension.packageJSON as Manifest).version;
  void vscode.commands.executeCommand("setContext", "ingle.running", true);
  started.tellDiagnostics(vscode.workspace.textDocuments.map((document) => document.uri));
  if (version !== own) {
    const message = `ingle-lsp is version ${version}, this extension ${own}. In a terminal, \`ingle setup vscode\` installs the one that belongs to it.`;
    void vscode.window.showWarningMessage(message);
  }
}

/** As much as is needed of package.json. */
interface Manifest {
  version: string;
  contributes: { configuration: { properties: Record<string, unknown> }[] };
}
