//! Ctrl-C and SIGTERM: the first sets a flag that the running command polls, the second ends the program at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGCONT, SIGINT, SIGTERM};
use signal_hook::flag;

use super::outcome::Exit;

/// The signals that a command has taken over.
pub(crate) struct Interrupt {
    stop: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    continued: Arc<AtomicBool>,
}

impl Interrupt {
    /// From here on the first signal only raises the flag: call it where the command begins to poll.
    ///
    /// Before, a signal ends the program at once, which loses nothing: every file appears by a rename.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub(crate) fn install() -> io::Result<Interrupt> {
        let interrupt = Interrupt {
            stop: Arc::default(),
            signal: Arc::default(),
            continued: Arc::default(),
        };
        flag::register(SIGCONT, Arc::clone(&interrupt.continued))?;
        for signal in [SIGINT, SIGTERM] {
            // Actions run in the order of registration: the shutdown looks at the flag before this signal raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&interrupt.stop))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal as usize)?;
            flag::register(signal, Arc::clone(&interrupt.stop))?;
        }
        Ok(interrupt)
    }

    /// Takes over another signal too: the first of it raises the flag, and so does every other.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub(crate) fn stop_at_also(&self, signal: i32) -> io::Result<()> {
        flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
        flag::register(signal, Arc::clone(&self.stop))?;
        Ok(())
    }

    /// The flag to poll: true once a signal came.
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the program was stopped, and then continued, since this was last asked.
    pub(crate) fn was_continued(&self) -> bool {
        self.continued.swap(false, Ordering::SeqCst)
    }

    /// The next signal ends the program at once: there is nothing to stop first.
    pub(crate) fn end_at_next(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// The next signal raises the flag again, for work that begins now.
    pub(crate) fn stop_at_next(&self) {
        self.stop.store(false, Ordering::SeqCst);
    }

    /// How the command ends: [`Exit::Done`], also where the flag was raised by its own time limit, or interrupted by the signal that came.
    pub(crate) fn exit(&self) -> Exit {
        match self.signal.load(Ordering::SeqCst) {
            signal if signal > 0 && self.stop.load(Ordering::SeqCst) => {
                Exit::Interrupted(signal as u8)
            }
            _ => Exit::Done,
        }
    }
}
