/** Directories that results go to: made where they are not there, looked at before anything is computed for them. */
import { dirname } from "node:path";
import { InputError, systemReason } from "../errors.ts";
import { cannotWrite, kindOf, temporaryName } from "./atomic.ts";

/**
 * {@linkcode makeDirectory}, and a file in it that is removed again: what cannot be written is refused before anything
 * is computed, by the name that was given.
 *
 * @returns The directories that were made, the innermost first.
 * @throws {InputError} if it cannot be made, is a file, takes no files, or does not show what it has.
 * @throws {FailureError} when the disk is full or fails.
 */
export function makeWritableDirectory(path: string): string[] {
  const made = missing(path);
  makeDirectory(path);
  const probe = temporaryName(`${path}/probe`);
  try {
    Deno.openSync(probe, { write: true, createNew: true }).close();
    Deno.removeSync(probe);
  } catch (thrown) {
    const refused = cannotWrite(path, thrown);
    if (refused === thrown || !(refused instanceof InputError)) throw refused;
    const subject = { option: "out", file: path };
    throw InputError.of("unreadable", subject, `a directory that can be written to: ${systemReason(thrown)}`);
  }
  // What lies there from before is looked at, too.
  try {
    for (const _ of Deno.readDirSync(path)) break;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    const subject = { option: "out", file: path };
    throw InputError.of("unreadable", subject, `a directory that can be read: ${systemReason(thrown)}`);
  }
  return made;
}

/** The directory and those above it that are not there. */
function missing(path: string): string[] {
  const all: string[] = [];
  for (let at = path; isAbsent(at) && dirname(at) !== at; at = dirname(at)) all.push(at);
  return all;
}

function isAbsent(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return false;
  } catch (thrown) {
    return thrown instanceof Deno.errors.NotFound;
  }
}

/** Removes directories, the innermost first, up to one that has something. */
export function removeEmpty(directories: readonly string[]): void {
  try {
    for (const directory of directories) Deno.removeSync(directory);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
  }
}

/**
 * Makes the directory that results go to, if it is not there.
 *
 * @throws {InputError} if it cannot be made or is a file.
 */
export function makeDirectory(path: string): void {
  const subject = { option: "out", file: path };
  try {
    Deno.mkdirSync(path, { recursive: true });
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    if (thrown instanceof Deno.errors.AlreadyExists) {
      throw InputError.of("wrong_value", subject, "a directory", inPlaceOfDirectory(path));
    }
    throw InputError.of("unreadable", subject, `a directory that can be written to: ${systemReason(thrown)}`);
  }
}

/** What is where no directory is, or could be made. */
function inPlaceOfDirectory(path: string): string {
  try {
    const found = Deno.lstatSync(path);
    return found.isSymlink ? "a link that leads to none" : kindOf(found);
  } catch {
    return "a file";
  }
}
