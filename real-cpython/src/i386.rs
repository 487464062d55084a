//! Debian's 32-bit libpython 3.11, unpacked into a folder of its own under `target/`, and the driver built for it. Nothing of
//! it is installed: apt is given a state of its own, and the driver has the folder's loader and libraries in it by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages::succeed;

/// The library and what it needs, and what linking a program needs.
const PACKAGES: [&str; 7] =
    ["libpython3.11", "libexpat1", "zlib1g", "libc6", "libc6-dev", "libgcc-s1", "libgcc-12-dev"];
const TARGET: &str = "i686-unknown-linux-gnu";

/// The driver and the library.
pub fn driver_and_library() -> Result<(PathBuf, PathBuf), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("32-bit programs are run on x86-64 Linux only".to_owned());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/i386");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let folder = folder.canonicalize().map_err(|e| e.to_string())?;
    let root = folder.join("root");
    let complete = folder.join("complete");
    if !complete.exists() {
        unpack(&folder, &root)?;
        fs::write(complete, "").map_err(|e| e.to_string())?;
    }
    Ok((build(&folder, &root)?, root.join("usr/lib/i386-linux-gnu/libpython3.11.so.1.0")))
}

/// Gets the packages by apt with a state and lists of its own, so that this system's architectures stay as they are.
fn unpack(folder: &Path, root: &Path) -> Result<(), String> {
    let file = |e: std::io::Error| format!("{}: {e}", folder.display());
    for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
        fs::create_dir_all(folder.join(part)).map_err(file)?;
    }
    fs::write(folder.join("state/status"), "").map_err(file)?;
    let configuration = folder.join("apt.conf");
    let text = format!(
        "APT::Architecture \"i386\"; APT::Architectures {{ \"i386\"; }}; APT::Sandbox::User \"\";\n\
         Dir::State \"{0}/state\"; Dir::State::status \"{0}/state/status\"; Dir::Cache \"{0}/cache\";\n",
        folder.display()
    );
    fs::write(&configuration, text).map_err(file)?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", &configuration).arg("-qq").current_dir(folder.join("packages"));
        apt
    };
    // A list that cannot be had need not be the one that has the packages.
    let lists = succeed(apt().arg("update"));
    succeed(apt().arg("download").args(PACKAGES))
        .map_err(|why| lists.err().map_or(why.clone(), |also| format!("{why}; {also}")))?;
    for package in fs::read_dir(folder.join("packages")).map_err(file)? {
        let package = package.map_err(file)?.path();
        succeed(Command::new("dpkg-deb").arg("-x").arg(package).arg(root))?;
    }
    Ok(())
}

/// Builds the driver, which needs nothing but `std`, for 32 bits. It is linked to a fixed place below the arenas.
fn build(folder: &Path, root: &Path) -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    succeed(Command::new("rustup").args(["target", "add", TARGET]).current_dir(here))?;
    let driver = folder.join("driver");
    let libraries = root.join("lib/i386-linux-gnu");
    let of_gcc = root.join("usr/lib/gcc/i686-linux-gnu/12");
    let mut rustc = Command::new("rustc");
    rustc.current_dir(here).args(["--edition", "2024", "-O", "--target", TARGET]);
    rustc.args(["-C", "linker=cc", "-C", "relocation-model=static"]);
    for argument in [
        format!("--sysroot={}", root.display()),
        format!("-B{}", of_gcc.display()),
        format!("-B{}", root.join("usr/lib/i386-linux-gnu").display()),
        format!("-L{}", of_gcc.display()),
        format!("-L{}", libraries.display()),
        format!("-Wl,--dynamic-linker={}", root.join("lib/ld-linux.so.2").display()),
        format!("-Wl,--disable-new-dtags,-rpath,{}", libraries.display()),
    ] {
        rustc.args(["-C", &format!("link-arg={argument}")]);
    }
    succeed(rustc.arg("-o").arg(&driver).arg("src/bin/driver.rs"))?;
    Ok(driver)
}
