//! Memory that one training step leaves to the next.
//!
//! A step allocates the same few hundred megabytes as the step before it. The system's allocator gives large blocks back
//! to the operating system, which hands them out again as zeroed pages, one page fault at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The system's allocator, except that freed large blocks are kept for the next that ask for their size.
///
/// A program opts in with `#[global_allocator]`. What is kept and what is in use are together at most an eighth more
/// than what once was in use, so that the peak of the program's memory hardly moves; the sizes that no one has asked for
/// the longest make room first.
pub struct ReusingAllocator(Mutex<Blocks>);

/// The sizes that are kept, in bytes. Smaller ones the system keeps itself; larger ones are few and long-lived.
const SMALLEST: usize = 1 << SMALLEST_BITS;
const SMALLEST_BITS: u32 = 17;
const LARGEST: usize = 1 << 26;

/// Sizes between one power of two and the next, to one of which a block is rounded up.
const STEPS: usize = 4;
const CLASSES: usize = (26 - SMALLEST_BITS as usize) * STEPS;

/// The alignment of a block: the largest for which the system has zeroed pages without writing to them.
const ALIGNMENT: usize = 16;

/// The blocks of one size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Class {
    index: usize,
    size: usize,
}

/// What is kept.
struct Blocks {
    /// The first free block of each class; its first word is the address of the next.
    free: [*mut u8; CLASSES],
    /// When a block of the class was last asked for, counted in such requests.
    asked: [u64; CLASSES],
    requests: u64,
    /// Bytes in free blocks, in blocks that are in use, and the most that ever were in use.
    kept: usize,
    used: usize,
    most_used: usize,
}

// SAFETY: the free blocks belong to no one else, on whatever thread they are.
unsafe impl Send for Blocks {}

impl ReusingAllocator {
    /// Returns an allocator that keeps nothing yet.
    pub const fn new() -> Self {
        let (free, asked) = ([null_mut(); CLASSES], [0; CLASSES]);
        ReusingAllocator(Mutex::new(Blocks { free, asked, requests: 0, kept: 0, used: 0, most_used: 0 }))
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a block of the class: a kept one, or else a new one from `allocate`, which may fail with null.
    fn take(&self, class: Class, allocate: impl FnOnce(Layout) -> *mut u8) -> Result<NonNull<u8>, *mut u8> {
        if let Some(block) = self.blocks().reuse(class) {
            return Ok(block);
        }
        let block = allocate(class.layout());
        if block.is_null() {
            self.blocks().used -= class.size;
        }
        Err(block)
    }
}

impl Default for ReusingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: what the system allocates is handed on as it is. A kept block was allocated by the system with the layout of
// its class, which is at least as large and as aligned as every layout of that class; a list holds it from `dealloc`,
// when its owner gave it up, until one `alloc` takes it out, under one lock. Nothing here panics or unwinds.
unsafe impl GlobalAlloc for ReusingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout, or that of a class, which is not empty.
        let allocate = |layout| unsafe { System.alloc(layout) };
        match Class::of(layout) {
            None => allocate(layout),
            Some(class) => self.take(class, allocate).map_or_else(|new| new, NonNull::as_ptr),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let allocate = |layout| unsafe { System.alloc_zeroed(layout) };
        match Class::of(layout).map(|class| self.take(class, allocate)) {
            None => allocate(layout),
            Some(Err(new)) => new,
            Some(Ok(kept)) => {
                // SAFETY: the block is at least as large as the layout.
                unsafe { kept.write_bytes(0, layout.size()) };
                kept.as_ptr()
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Class::of(layout) {
            // SAFETY: the block came from the system with this layout.
            None => unsafe { System.dealloc(block, layout) },
            // SAFETY: the block came from the system with the layout of the class, and its owner gives it up.
            Some(class) => unsafe { self.blocks().keep(block, class) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match [layout, new_layout].map(Class::of) {
            // SAFETY: the block came from the system with this layout.
            [None, None] => unsafe { System.realloc(block, layout, size) },
            [old, new] if old == new => block,
            // SAFETY: both blocks hold the bytes that are copied, and the old one is given up once.
            _ => unsafe {
                let new = self.alloc(new_layout);
                if !new.is_null() {
                    new.copy_from_nonoverlapping(block, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

impl Class {
    /// Returns the class that a layout belongs to, if its blocks are kept.
    fn of(layout: Layout) -> Option<Self> {
        let size = layout.size();
        if !(SMALLEST < size && size <= LARGEST && layout.align() <= ALIGNMENT) {
            return None;
        }
        let octave = (size - 1).ilog2();
        let step = (1 << octave) / STEPS;
        let size = size.next_multiple_of(step);
        let within = size / step - STEPS - 1;
        Some(Class { index: (octave - SMALLEST_BITS) as usize * STEPS + within, size })
    }

    fn nth(index: usize) -> Self {
        let step = (SMALLEST << (index / STEPS)) / STEPS;
        Class { index, size: (STEPS + 1 + index % STEPS) * step }
    }

    fn layout(self) -> Layout {
        // SAFETY: the alignment is a power of two, and the size at most `LARGEST`.
        unsafe { Layout::from_size_align_unchecked(self.size, ALIGNMENT) }
    }
}

impl Blocks {
    /// Takes a block of the class out, or else makes room for a new one. Either way the caller now uses one more.
    fn reuse(&mut self, class: Class) -> Option<NonNull<u8>> {
        self.used += class.size;
        self.most_used = self.most_used.max(self.used);
        self.requests += 1;
        self.asked[class.index] = self.requests;
        let block = self.pop(class);
        while self.used + self.kept > self.most_used + self.most_used / 8 {
            let kept = (0..CLASSES).filter(|&index| !self.free[index].is_null());
            let oldest = kept.min_by_key(|&index| self.asked[index]).map(Class::nth);
            let Some((class, block)) = oldest.and_then(|class| Some((class, self.pop(class)?))) else {
                break;
            };
            // SAFETY: the system allocated the block with the layout of its class, and no list holds it any more.
            unsafe { System.dealloc(block.as_ptr(), class.layout()) };
        }
        block
    }

    fn pop(&mut self, class: Class) -> Option<NonNull<u8>> {
        let first = NonNull::new(self.free[class.index])?;
        // SAFETY: the first word of a free block is the address of the next, see `keep`.
        self.free[class.index] = unsafe { first.cast().read() };
        self.kept -= class.size;
        Some(first)
    }

    /// Puts a block into its list.
    ///
    /// # Safety
    /// The system allocated the block with the layout of the class, and no one uses it.
    unsafe fn keep(&mut self, block: *mut u8, class: Class) {
        // SAFETY: the block is free, large enough for an address, and aligned for one.
        unsafe { block.cast::<*mut u8>().write(self.free[class.index]) };
        self.free[class.index] = block;
        self.kept += class.size;
        self.used -= class.size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 4).expect("a small size")
    }

    #[test]
    fn classes_cover_the_sizes_without_gaps_and_waste_at_most_a_quarter() {
        assert_eq!(Class::of(layout(SMALLEST)), None);
        assert_eq!(Class::of(layout(LARGEST + 1)), None);
        assert_eq!(Class::of(Layout::from_size_align(LARGEST, 64).expect("a power of two")), None);
        let classes: Vec<_> = (0..CLASSES).map(Class::nth).collect();
        assert_eq!(classes[CLASSES - 1].size, LARGEST);
        let mut below = SMALLEST;
        for class in classes {
            for size in [below + 1, (below + class.size) / 2, class.size] {
                assert_eq!(Class::of(layout(size)), Some(class), "{size}");
            }
            assert!(class.size <= below + below / 4);
            below = class.size;
        }
    }
    #[test]
    fn a_freed_block_is_the_next_of_its_size_and_zeroed_on_request() {
        let allocator = ReusingAllocator::new();
        let (a, b) = (layout(1 << 20), layout((1 << 20) - 4000));
        // SAFETY: each block is freed once, with the layout it was allocated with, and written within its size.
        unsafe {
            let first = allocator.alloc(a);
            assert_eq!(first.addr() % ALIGNMENT, 0);
            first.write_bytes(1, a.size());
            allocator.dealloc(first, a);
            let second = allocator.alloc_zeroed(b);
            assert_eq!(first, second);
            assert!(std::slice::from_raw_parts(second, b.size()).iter().all(|&byte| byte == 0));
            allocator.dealloc(second, b);
        }
    }

    proptest! {
        #[test]
        fn blocks_hold_what_was_written_and_little_more_is_held_than_was_in_use(
            operations in prop::collection::vec((0..4_usize, 0..8_usize, (1 << 16)..(1_usize << 20)), 1..60),
        ) {
            let allocator = ReusingAllocator::new();
            let mut owned: Vec<Option<(*mut u8, Layout, u8)>> = vec![None; 8];
            for (i, (operation, at, size)) in operations.into_iter().enumerate() {
                let (mark, new) = (i as u8, layout(size));
                // SAFETY: every block is freed or grown once, with its layout, and read and written within its size.
                unsafe {
                    owned[at] = match (operation, owned[at].take()) {
                        (_, None) => {
                            let block = allocator.alloc(new);
                            block.write_bytes(mark, size);
                            Some((block, new, mark))
                        }
                        (0, Some((block, old, mark))) => {
                            let kept = old.size().min(size);
                            let block = allocator.realloc(block, old, size);
                            prop_assert!(std::slice::from_raw_parts(block, kept).iter().all(|&byte| byte == mark));
                            block.write_bytes(mark, size);
                            Some((block, new, mark))
                        }
                        (_, Some((block, old, mark))) => {
                            let bytes = std::slice::from_raw_parts(block, old.size());
                            prop_assert!(bytes.iter().all(|&byte| byte == mark));
                            allocator.dealloc(block, old);
                            None
                        }
                    };
                }
                let blocks = allocator.blocks();
                let used = owned.iter().flatten().filter_map(|&(_, layout, _)| Class::of(layout));
                prop_assert_eq!(blocks.used, used.map(|class| class.size).sum::<usize>());
                prop_assert!(blocks.used + blocks.kept <= blocks.most_used + blocks.most_used / 8);
            }
        }
    }

    #[test]
    fn threads_do_not_share_a_block() {
        static SHARED: ReusingAllocator = ReusingAllocator::new();
        std::thread::scope(|scope| {
            for mark in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..200 {
                        let layout = layout(200_000 + round * 500);
                        // SAFETY: the block is written and read within its size, and freed once.
                        unsafe {
                            let block = SHARED.alloc(layout);
                            block.write_bytes(mark, layout.size());
                            let bytes = std::slice::from_raw_parts(block, layout.size());
                            assert!(bytes.iter().all(|&byte| byte == mark));
                            SHARED.dealloc(block, layout);
                        }
                    }
                });
            }
        });
    }
}
