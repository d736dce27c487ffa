// Writes the plans of the conformance suite, for the fake runtime, into the folder that it is
// given.
#include <NvInferVersion.h>

#include <filesystem>

#include "plan_writer.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  const slipstream::tensorrt::Version version{
      .major = NV_TENSORRT_MAJOR, .minor = NV_TENSORRT_MINOR, .patch = NV_TENSORRT_PATCH};
  const auto write = [&](const char* name, const char* text) {
    (void)slipstream::tensorrt::write_plan(folder / name, version, text);
  };
  write("rows.plan",
        "input x 0 -1,16 1,16 64,16\n"
        "output y 0 -1,16 x\n"
        "end\n");
  write("types.plan",
        "input floats 0 -1,-1 1,1 64,8\n"
        "input halves 1 -1,4 1,4 64,4\n"
        "input bytes 2 -1 1 64\n"
        "input ints 3 -1,2 1,2 64,2\n"
        "input flags 4 -1 1 64\n"
        "input brains 7 -1,2,2 1,2,2 64,2,2\n"
        "input longs 8 -1,1 1,1 64,1\n"
        "output of_floats 0 -1,-1 floats\n"
        "output of_halves 1 -1,4 halves\n"
        "output of_bytes 2 -1 bytes\n"
        "output of_ints 3 -1,2 ints\n"
        "output of_flags 4 -1 flags\n"
        "output of_brains 7 -1,2,2 brains\n"
        "output of_longs 8 -1,1 longs\n"
        "end\n");
  write("fixed.plan",
        "input x 0 4,3\n"
        "output y 0 4,3 x\n"
        "end\n");
  write("profiles.plan",
        "input x 0 -1,3 1,3 2,3 1,3 64,3\n"
        "output y 0 -1,3 x\n"
        "end\n");
  return 0;
}
