//! What tests of the window stand on: the window without a shell, a renderer without a graphics card, and pictures that are
//! compared with committed ones.

#![allow(dead_code, reason = "each test takes a part of it")]

pub(crate) mod clipboard;
pub(crate) mod picture;
pub(crate) mod renderer;
pub(crate) mod window;
