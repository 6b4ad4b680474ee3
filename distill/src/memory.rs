//! How the allocator treats memory that is freed.

/// The option of the allocator that says after how many milliseconds freed pages go back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Keeps freed pages instead of giving them back after a second, as the allocator would: a step of a large student takes
/// as long, and its pages would come back zeroed by the system, a fifth of the step's time.
///
/// To be called before other threads run. `MIMALLOC_PURGE_DELAY`, in milliseconds, says otherwise.
pub fn keep_freed_pages() {
    // Ten times as many still fit into the smallest `long`: the allocator multiplies.
    const DAY: std::ffi::c_long = 24 * 60 * 60 * 1000;
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: it sets a number inside of the allocator, which any thread may do at any time.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, DAY) };
    }
}

/// Gives the pages back that were freed: what comes next needs others, or takes its memory from another allocator, as ONNX
/// Runtime does.
pub fn give_back() {
    // SAFETY: it frees what nobody uses; any thread may call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
