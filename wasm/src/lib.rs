//! Kernels of the emulate backend. `../ABI.md` is the interface; one operation a file, and the formats beside them.
//!
//! No allocation, no statics, no panic with a message: the module must have no data segment (`tools/wasm_build.ts` checks), because
//! many instances share one memory that TypeScript owns.
#![no_std]

mod add;
mod bf16;
mod element;
mod memory;
mod mx;
mod prepare;
mod quantize;

unsafe extern "C" {
    static __heap_base: u8;
}

/// The first address that the module does not use itself: below lies only the stack of an instance whose `__stack_pointer` was not
/// moved. A function, because wasm-bindgen removes the exported global of this name.
#[unsafe(no_mangle)]
extern "C" fn heap_base() -> *const u8 {
    &raw const __heap_base
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
