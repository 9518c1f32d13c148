//! Where writers write to and pieces are taken from.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
};

use parking_lot::Mutex;

/// Bytes that were written and not yet taken. Clones are the same sink.
#[derive(Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    /// Appends with a function that must leave what is there alone.
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.0.lock());
    }

    /// Takes what was written since.
    pub(crate) fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
