// What Python finds through ctypes.
#pragma once

#define SLIPSTREAM_BENCH_EXPORT extern "C" [[gnu::visibility("default")]]
