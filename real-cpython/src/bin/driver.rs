//! [`driver`] as a program of its own, which `rustc` alone builds for other targets: it needs nothing but `std`.

#[path = "../driver/mod.rs"]
mod driver;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    driver::run(&arguments)
}
