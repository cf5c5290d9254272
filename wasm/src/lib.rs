//! Kernels of the emulate backend. `../ABI.md` is the interface; one operation a file, and the formats beside them.
//!
//! No allocation, no statics, no panic with a message: the module must have no data segment (`tools/wasm_build.ts`
//! checks), because many instances share one memory that TypeScript owns.
//!
//! Nearly all of it is `unsafe`: kernels work at addresses that a descriptor names, of which no compiler can judge.
//! What makes that sound is the caller's to keep, stands in `../ABI.md`, and holds for every `unsafe fn` here: from an
//! address on there are as many bytes as the operation reads or writes, and units that threads compute at the same
//! time write to different bytes. Where a caller breaks that, numbers are wrong or the kernel traps; it cannot leave
//! the memory. What is `unsafe` for another reason says so beside it.
#![no_std]
#![feature(asm_experimental_arch)]

mod add;
mod attention;
mod attention_products;
mod attention_rows;
mod attention_text;
mod attention_two;
mod bf16;
mod byte_dots;
mod cache;
mod combine;
mod decode;
mod digits;
mod dot;
mod eight_rows;
#[rustfmt::skip] // Text of instructions, a few a line.
mod eight_rows_text;
mod element;
mod embed;
mod encode;
mod encode_blocks;
mod exp;
mod exponents;
mod f16;
mod f32;
mod few;
mod few_digit;
#[rustfmt::skip] // Text of instructions, a few a line.
mod few_digit_text;
mod few_floats;
#[rustfmt::skip] // Text of instructions, a few a line.
mod few_floats_text;
mod few_panels;
#[rustfmt::skip] // Text of instructions, a few a line.
mod few_panels_text;
mod finish;
mod fixed;
mod four_rows;
#[rustfmt::skip] // Text of instructions, a few a line.
mod four_rows_text;
mod fp4;
mod fp6;
mod fp8;
mod gemm;
mod groups;
mod integer;
mod integer_tile;
mod integers;
mod likeliest;
mod linear;
mod many_fixed;
mod matvec;
mod matvec_fixed;
mod memory;
mod mx;
mod number;
mod one_row;
#[rustfmt::skip] // Text of instructions, a few a line.
mod one_row_text;
mod panel;
mod pick;
mod pick_best;
mod pick_panel;
mod pick_tile;
mod prepare;
mod probe;
mod q8_0;
mod qdq;
mod quantize;
mod record;
#[rustfmt::skip] // Text of instructions, a few a line.
mod register_tile;
mod rms_norm;
mod rotate;
mod route;
mod splat_lane;
mod store;
mod swiglu;
#[rustfmt::skip] // Text of instructions, a few a line.
mod text_macros;
mod tokenizer_merges;
mod tokenizer_text;
mod tokenizer_vocabulary;

unsafe extern "C" {
    static __heap_base: u8;
}

/// The first address that the module does not use itself: below lies only the stack of an instance whose
/// `__stack_pointer` was not moved. A function, because wasm-bindgen removes the exported global of this name.
#[unsafe(no_mangle)]
extern "C" fn heap_base() -> *const u8 {
    &raw const __heap_base
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
