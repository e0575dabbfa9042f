/**
 * The virtual environments that are active in this window: the Python extension's choice, the terminal's, a folder's own.
 *
 * Knows VS Code and the Python extension, and not what is looked for in them.
 */
import { dirname, join } from "node:path";
import * as vscode from "vscode";

/** As much as is needed of what `ms-python.python` exports. */
interface PythonExtension {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

/** The environments' folders, the nearest first. Only for trusted workspaces: a folder's own is a stranger's program. */
export async function activeEnvironments(): Promise<string[]> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const python = await pythonExtension();
  const chosen = python?.environments.getActiveEnvironmentPath(folders[0]?.uri).path ?? "";
  const known = [
    // Either an interpreter, `ENVIRONMENT/bin/python`, or the environment's folder.
    /\/bin\/python[\d.]*$/.test(chosen) ? dirname(dirname(chosen)) : chosen,
    process.env.VIRTUAL_ENV,
    process.env.CONDA_PREFIX,
    ...folders.map((folder) => join(folder.uri.fsPath, ".venv")),
  ];
  return known.filter((each) => each !== undefined).filter(Boolean);
}

/** Calls `changed` when another environment was chosen. */
export async function watchEnvironments(changed: () => void): Promise<vscode.Disposable> {
  const python = await pythonExtension();
  return python?.environments.onDidChangeActiveEnvironmentPath(changed) ?? vscode.Disposable.from();
}

async function pythonExtension(): Promise<PythonExtension | undefined> {
  return vscode.extensions.getExtension<PythonExtension | undefined>("ms-python.python")?.activate();
}
