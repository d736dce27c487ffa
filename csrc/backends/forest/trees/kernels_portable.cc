// Compiled for the processor that the whole library is compiled for: SSE2, NEON, anything.
#include "backends/forest/trees/kernels.h"

#define SLIPSTREAM_SIMD portable
#define SLIPSTREAM_SIMD_BYTES 16
#define SLIPSTREAM_SIMD_KEYS 0
#define SLIPSTREAM_SIMD_DENSE 0
#define SLIPSTREAM_SIMD_BLOCKS 0
#define SLIPSTREAM_SIMD_LEVELS 0
namespace slipstream::forest::portable {
namespace {
constexpr const char* kName = "portable";
}
}  // namespace slipstream::forest::portable
#include "backends/forest/trees/simd_vector.h"
// In the vectors of the line above:
#include "backends/forest/trees/kernels_body.h"
