//! Products of blocks by Intel's Advanced Matrix Extensions.
//!
//! Eight tile registers hold 16 rows of 64 bytes each: four of them a square of 32 by 32 sums, two a left block, two a
//! right block. The compiler knows no tiles yet, so this file speaks assembly.

use super::Block;
use crate::kernels::Onto;
use crate::kernels::packed::square::Square;
use crate::kernels::packed::tiles::SIDE;
use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, __get_cpuid_max, _xgetbv};
use std::sync::OnceLock;

/// Says whether the processor has tiles with bfloat16, and the operating system lets this process use them.
pub(super) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    // The conversions before and after use AVX-512 with bfloat16, which every processor with tiles has.
    *AVAILABLE.get_or_init(|| super::avx512::is_available() && has_tiles() && is_permitted())
}

/// Runs `work` with all eight tiles of this thread set to 16 rows of 64 bytes, and frees them afterwards.
pub(super) fn configured<R>(work: impl FnOnce() -> R) -> R {
    #[repr(C, align(64))]
    struct Configuration([u8; 64]);
    const PALETTE: u8 = 1;
    let mut configuration = Configuration([0; 64]);
    configuration.0[0] = PALETTE;
    for tile in 0..8 {
        configuration.0[16 + 2 * tile] = 64; // bytes of a row
        configuration.0[48 + tile] = 16; // rows
    }
    // SAFETY: the caller holds `Unit::Amx`, which is only made where tiles may be used; the 64 bytes are a valid
    // configuration (Intel, Software Developer's Manual, LDTILECFG).
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
    let result = work();
    // SAFETY: as above.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
    result
}

/// Computes `c = Σ a b` or `c += Σ a b`.
///
/// # Safety
/// The processor has tiles and this thread is inside of [`configured`]. `a` and `b` are equally long.
pub(super) unsafe fn multiply(a: &[Block], b: &[Block], c: &mut Square<f32>, onto: Onto) {
    const ROW: usize = SIDE * size_of::<f32>();
    let upper = c.0.as_mut_ptr();
    let lower = upper.wrapping_add(SIDE * SIDE / 2);
    // SAFETY: a square is 32 rows of 128 bytes, so each quarter is a tile with that stride; blocks are 2048 bytes, two
    // tiles with a stride of 64; the loop reads `a.len()` blocks of each. Tiles are configured (the caller's promise).
    unsafe {
        match onto {
            Onto::Nothing => {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    options(nostack, nomem)
                );
            }
            Onto::Sum => asm!(
                "tileloadd tmm0, [{upper} + {row}]",
                "tileloadd tmm1, [{upper} + {row} + 64]",
                "tileloadd tmm2, [{lower} + {row}]",
                "tileloadd tmm3, [{lower} + {row} + 64]",
                upper = in(reg) upper, lower = in(reg) lower, row = in(reg) ROW,
                options(nostack, readonly),
            ),
        }
        if !a.is_empty() {
            asm!(
                "2:",
                "tileloadd tmm4, [{a} + {row}]",
                "tileloadd tmm6, [{b} + {row}]",
                "tileloadd tmm7, [{b} + {row} + 1024]",
                "tileloadd tmm5, [{a} + {row} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a}, 2048",
                "add {b}, 2048",
                "dec {count}",
                "jnz 2b",
                a = inout(reg) a.as_ptr() => _,
                b = inout(reg) b.as_ptr() => _,
                count = inout(reg) a.len() => _,
                row = in(reg) 64_usize,
                options(nostack, readonly),
            );
        }
        asm!(
            "tilestored [{upper} + {row}], tmm0",
            "tilestored [{upper} + {row} + 64], tmm1",
            "tilestored [{lower} + {row}], tmm2",
            "tilestored [{lower} + {row} + 64], tmm3",
            upper = in(reg) upper, lower = in(reg) lower, row = in(reg) ROW,
            options(nostack),
        );
    }
}

fn has_tiles() -> bool {
    const XTILE: u64 = 0b11 << 17; // the state of tile configuration and tile data
    const BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    if !std::arch::is_x86_feature_detected!("xsave") {
        return false;
    }
    let (leaves, _) = __get_cpuid_max(0);
    if leaves < 7 || __cpuid_count(7, 0).edx & BF16_AND_TILE != BF16_AND_TILE {
        return false;
    }
    // SAFETY: the processor has `xsave`, and the operating system uses it: detection demands both.
    unsafe { enabled_states() & XTILE == XTILE }
}

#[target_feature(enable = "xsave")]
fn enabled_states() -> u64 {
    // SAFETY: register 0 exists wherever `xsave` does.
    unsafe { _xgetbv(0) }
}

/// Asks Linux to let this process use tiles; other systems enable them on first use, or not at all.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XTILE_DATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: arch_prctl(ARCH_REQ_XCOMP_PERM, 18) changes nothing but the permission of this process; a system call
    // clobbers `rcx` and `r11` alone.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XTILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}
