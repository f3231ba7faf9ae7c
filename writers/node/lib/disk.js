'use strict';

/** FIFOs and files beside them: checked, never followed, never blocking. */

const fs = require('node:fs');
const { randomBytes } = require('node:crypto');

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_WRONLY } = fs.constants;

const RESULTS = 'spanpipe-results.fifo';
const CONTROL = 'spanpipe-control.fifo';

/** What one process may have waiting beside the FIFO: `/tmp` is the function's own. */
const MAX_FILES = 32;
const MAX_FILES_BYTES = 32 * 1024 * 1024;

class Untrusted extends Error {}

/** A descriptor of the FIFO (libuv adds O_CLOEXEC); throws `Untrusted` or the system's error. */
function openFifo(path, flags) {
  let descriptor;
  try {
    descriptor = fs.openSync(path, flags | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    if (error.code === 'ELOOP') throw new Untrusted(`${path}: is a symbolic link`);
    if (error.code === 'EISDIR') throw new Untrusted(`${path}: is no FIFO but a folder`);
    throw error;
  }
  try {
    const status = fs.fstatSync(descriptor);
    if (!status.isFIFO()) throw new Untrusted(`${path}: is no FIFO`);
    if (status.uid !== process.geteuid()) throw new Untrusted(`${path}: belongs to another user`);
    if (status.mode & 0o077) throw new Untrusted(`${path}: is open to other users`);
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
  return descriptor;
}

/** The files of one process. */
class Overflow {
  #directory;
  #waiting = new Map();

  constructor(directory) {
    this.#directory = directory;
  }

  /** Write `data` as one file; its name, or null where a bound or the disk forbids it. */
  write(data) {
    if (!this.#hasRoom(data.length)) {
      for (const name of this.#waiting.keys()) {
        if (!fs.existsSync(`${this.#directory}/${name}`)) this.#waiting.delete(name);
      }
      if (!this.#hasRoom(data.length)) return null;
    }
    const name = `spanpipe-${randomBytes(8).toString('hex')}.msg`;
    try {
      writeWhole(`${this.#directory}/${name}`, data);
    } catch {
      return null;
    }
    this.#waiting.set(name, data.length);
    return name;
  }

  #hasRoom(bytes) {
    let sum = bytes;
    for (const size of this.#waiting.values()) sum += size;
    return this.#waiting.size < MAX_FILES && sum <= MAX_FILES_BYTES;
  }
}

/** Under another name first: whoever lists the folder sees whole files alone. */
function writeWhole(path, data) {
  const temporary = `${path}.part`;
  const descriptor = fs.openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      for (let at = 0; at < data.length;) at += fs.writeSync(descriptor, data, at);
    } finally {
      fs.closeSync(descriptor);
    }
    fs.renameSync(temporary, path);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}

module.exports = { CONTROL, MAX_FILES, Overflow, RESULTS, Untrusted, openFifo };
