# Compiler options of every room, program and test: target banff_options.
set(BNF_SANITIZE "" CACHE STRING "Sanitizers to build with: empty, address (with leak and undefined), or thread")
set_property(CACHE BNF_SANITIZE PROPERTY STRINGS "" address thread)
option(BNF_WERROR "Treat warnings as errors" OFF)
option(BNF_SIMD "Compile kernels for several x86-64 levels and choose at load time (base/simd.h)" ON)

add_library(banff_options INTERFACE)
target_compile_features(banff_options INTERFACE c_std_17)
# -ffp-contract=off: a * b + c is rounded twice everywhere, in the vector body of a loop and in its remainder, on every level
# of instruction set and by every compiler. Kernels that live off fused multiply-add are oneDNN's and the BLAS's.
# -Wno-missing-field-initializers: in the tables (operations, keys, options) a field that is left out is zero, on purpose.
# -Wno-pass-failed: clang reports every "omp simd" loop that it does not vectorise; at -O1 that is all of some kind.
# -fno-math-errno and -fno-trapping-math change no result; -ffast-math would.
target_compile_options(banff_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
                       -Wno-unknown-pragmas -Wno-missing-field-initializers $<$<C_COMPILER_ID:Clang>:-Wno-pass-failed>
                       -ffp-contract=off -fno-math-errno -fno-trapping-math -fvisibility=default $<$<CONFIG:Release>:-g>)
target_compile_definitions(banff_options INTERFACE _GNU_SOURCE)
target_link_libraries(banff_options INTERFACE OpenMP::OpenMP_C Threads::Threads)
if(BNF_WERROR)
  target_compile_options(banff_options INTERFACE -Werror)
endif()

if(BNF_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(BNF_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(BNF_SANITIZE)
  message(FATAL_ERROR "BNF_SANITIZE must be empty, address or thread; it is '${BNF_SANITIZE}'")
endif()
if(BNF_SANITIZE)
  target_compile_options(banff_options INTERFACE ${sanitize} -fno-omit-frame-pointer)
  target_link_options(banff_options INTERFACE ${sanitize})
  target_compile_definitions(banff_options INTERFACE BNF_SANITIZED=1)
endif()

if(BNF_SIMD AND NOT BNF_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  include(CheckCSourceCompiles)
  check_c_source_compiles("
    __attribute__((target_clones(\"arch=x86-64-v4\", \"arch=x86-64-v3\", \"default\"))) static int f(int x) { return x + 1; }
    int main(int argc, char **argv) { (void)argv; return f(argc); }" BNF_HAVE_TARGET_CLONES)
  if(BNF_HAVE_TARGET_CLONES)
    target_compile_definitions(banff_options INTERFACE BNF_HAVE_TARGET_CLONES=1)
  endif()
endif()
