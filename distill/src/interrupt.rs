//! What Ctrl-C does while a student learns.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by the first Ctrl-C while a student learns.
static STOP: AtomicBool = AtomicBool::new(false);
/// Whether a student learns, so that there is a checkpoint to write before the process ends.
static LEARNS: AtomicBool = AtomicBool::new(false);

/// Makes the first Ctrl-C set a flag, and the second end the process at once, for as long as it is held. When nobody learns,
/// the first ends it: whatever else takes long writes nothing that is not whole.
pub struct StopOnCtrlC(());

impl StopOnCtrlC {
    /// Starts to listen.
    pub fn listen() -> Self {
        LEARNS.store(true, Ordering::Relaxed);
        // It fails when a handler is there already: the one of an earlier run of this process, which does the same.
        let _ = ctrlc::set_handler(|| {
            if !LEARNS.load(Ordering::Relaxed) || STOP.swap(true, Ordering::Relaxed) {
                leave();
            }
        });
        StopOnCtrlC(())
    }

    /// Returns the flag that says whether to stop.
    pub fn flag(&self) -> &'static AtomicBool {
        &STOP
    }
}

impl Drop for StopOnCtrlC {
    fn drop(&mut self) {
        LEARNS.store(false, Ordering::Relaxed);
    }
}

/// Ends the process as it is, as a shell says that Ctrl-C ended it. An orderly exit would destroy what its threads still
/// compute with inside ONNX Runtime, and one of them could crash before the process is gone.
fn leave() -> ! {
    const INTERRUPTED: i32 = 130;
    #[cfg(unix)]
    // SAFETY: it hands a number to the system, which ends the process without running any more of it.
    unsafe {
        libc::_exit(INTERRUPTED)
    }
    // Threads are ended before anything else there.
    #[cfg(not(unix))]
    std::process::exit(INTERRUPTED)
}
