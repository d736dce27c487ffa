// Compiled with AVX2 flags (see CMakeLists.txt); called only where the processor has it.
#include "backends/forest/trees/kernels.h"

#define SLIPSTREAM_SIMD avx2
#define SLIPSTREAM_SIMD_BYTES 32
#define SLIPSTREAM_SIMD_KEYS 0
#define SLIPSTREAM_SIMD_DENSE 0
#define SLIPSTREAM_SIMD_BLOCKS 0
#define SLIPSTREAM_SIMD_LEVELS 0
namespace slipstream::forest::avx2 {
namespace {
constexpr const char* kName = "avx2";
}
}  // namespace slipstream::forest::avx2
#include "backends/forest/trees/simd_vector.h"
// In the vectors of the line above:
#include "backends/forest/trees/kernels_body.h"
