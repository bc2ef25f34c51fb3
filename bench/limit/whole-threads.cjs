// Loaded before the command line where threads are measured: they take part in traces of any length, also of those that one is as quick with.
globalThis.DROPCAST_SHARED_BYTES = 0;
