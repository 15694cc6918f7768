//! Output.
#![allow(missing_docs, unused_variables)]
use std::io;
pub struct Output;
impl Output {
    pub fn stdout() -> Output { Output }
    pub fn finish(self) -> io::Result<()> { Ok(()) }
}
impl io::Write for Output {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> { io::stdout().write(b) }
    fn flush(&mut self) -> io::Result<()> { Ok(()) }
}
