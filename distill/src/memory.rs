//! How the allocator treats memory that is freed.

/// Keeps freed pages instead of giving them back after a second, as the allocator would: a step of a large student takes
/// as long, and its pages would come back zeroed by the system, a fifth of the step's time.
///
/// To be called before other threads run. `MIMALLOC_PURGE_DELAY`, in milliseconds, says otherwise.
pub fn keep_freed_pages() {
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    const NEVER: std::ffi::c_long = -1;
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: it sets a number inside of the allocator, which any thread may do at any time.
        unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, NEVER) };
    }
}
