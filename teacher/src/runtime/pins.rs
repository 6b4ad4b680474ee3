//! The release of ONNX Runtime that is fetched, pinned for each platform.

/// The release that is fetched.
pub(super) const VERSION: &str = "1.31.1";

/// The oldest release that works, as (major, minor).
pub(crate) const FLOOR: (u32, u32) = (1, 18);

/// One wheel of [`VERSION`] and the library inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pin {
    /// pip's tag of the platform.
    pub platform: &'static str,
    /// File name of the library, under `onnxruntime/capi/` in the wheel.
    pub library: &'static str,
    /// Bytes to download.
    pub wheel_bytes: u64,
    /// SHA-256 of the wheel.
    pub wheel_sha256: &'static str,
    /// Bytes of the library.
    pub library_bytes: u64,
    /// SHA-256 of the library.
    pub library_sha256: &'static str,
}

/// The wheels for CPython 3.12; the library inside is the same for every Python.
const PINS: [Pin; 5] = [
    Pin {
        platform: "manylinux_2_28_x86_64",
        library: "libonnxruntime.so.1.31.1",
        wheel_bytes: 23_760_988,
        wheel_sha256: "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
        library_bytes: 29_352_200,
        library_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
    },
    Pin {
        platform: "manylinux_2_28_aarch64",
        library: "libonnxruntime.so.1.31.1",
        wheel_bytes: 21_420_803,
        wheel_sha256: "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
        library_bytes: 25_265_040,
        library_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
    },
    Pin {
        platform: "macosx_14_0_arm64",
        library: "libonnxruntime.1.31.1.dylib",
        wheel_bytes: 20_882_125,
        wheel_sha256: "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
        library_bytes: 33_037_336,
        library_sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
    },
    Pin {
        platform: "win_amd64",
        library: "onnxruntime.dll",
        wheel_bytes: 14_888_466,
        wheel_sha256: "ae8a9a351efda685cc59a66226cdefaa37a126c1d66872ca23a2de9425326130",
        library_bytes: 19_288_376,
        library_sha256: "e45f61e50d8650885452be538a00bb14a715e46a1bc3691000ce947e89ed0306",
    },
    Pin {
        platform: "win_arm64",
        library: "onnxruntime.dll",
        wheel_bytes: 14_740_724,
        wheel_sha256: "fe8b9ac1ae8e894e12c47ee82e4f6dfc1835768133687257866469fda80d0bf1",
        library_bytes: 19_171_640,
        library_sha256: "dc9e2fe646a72829386a24ac9185a7a4e26d7dbe5dc433d41df063603c00bbc7",
    },
];

/// Returns the pin for the platform this was built for, if there is a wheel for it.
pub(super) fn for_this_platform() -> Option<&'static Pin> {
    let platform = if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")) {
        "manylinux_2_28_x86_64"
    } else if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64")) {
        "manylinux_2_28_aarch64"
    } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        "macosx_14_0_arm64"
    } else if cfg!(all(windows, target_arch = "x86_64")) {
        "win_amd64"
    } else if cfg!(all(windows, target_arch = "aarch64")) {
        "win_arm64"
    } else {
        return None;
    };
    PINS.iter().find(|pin| pin.platform == platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_whole_and_all_of_one_release() {
        for pin in PINS {
            for hash in [pin.wheel_sha256, pin.library_sha256] {
                assert_eq!(hash.len(), 64, "{pin:?}");
                assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{pin:?}");
            }
            assert!(pin.library.contains(VERSION) || pin.library == "onnxruntime.dll", "{pin:?}");
            assert!(pin.wheel_bytes < pin.library_bytes, "{pin:?}");
        }
    }
}
