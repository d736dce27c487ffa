// make_forest_models FOLDER: the models that the conformance suite runs on the forest backend.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "forest/forest_writer.h"
#include "forest/random_trees.h"

namespace {

using namespace slipstream;
using namespace slipstream::forest;

// Trees over float32 rows, to probabilities and integer labels.
std::string boosted() {
  Random random(11);
  OwnedTrees trees;
  do {
    trees = random_trees(random, {.features = 12, .trees = 60, .leaves = 20, .outputs = 4});
  } while (trees.outputs < 3 || trees.float32_sums || trees.roots.size() < 20);
  ForestWriter writer;
  const auto x = writer.input("x", DType::kFloat32, trees.features);
  const auto shares = writer.step(Op::kSoftmax, {writer.trees(x, trees)}, {}, {1});
  std::vector<std::int64_t> labels;
  for (std::uint32_t i = 0; i < trees.outputs; ++i) labels.push_back(10 * i);
  const auto label =
      writer.step(Op::kLabelNumber, {writer.step(Op::kArgmax, {shares})}, {array_of(labels)});
  writer.output("label", label, true);
  writer.output("shares", shares);
  return writer.bytes();
}

// Inputs of every type, given back as they are and as numbers.
std::string types() {
  ForestWriter writer;
  const auto integers = writer.input("integers", DType::kInt64, 2);
  const auto flags = writer.input("flags", DType::kBool, 3);
  const auto texts_in = writer.input("texts", DType::kString, 2);
  const auto narrow = writer.input("narrow", DType::kFloat32, 1);
  writer.output("integers", integers);
  writer.output("flags", flags);
  writer.output("texts", texts_in);
  writer.output("second", writer.step(Op::kTakeColumns, {texts_in}, {array_of<std::int32_t>({1})}),
                true);
  const auto numbers = writer.step(Op::kConcat, {writer.step(Op::kCast, {integers}, {}, {12}),
                                                 writer.step(Op::kCast, {flags}, {}, {12}),
                                                 writer.step(Op::kCast, {narrow}, {}, {12})});
  writer.output("numbers", numbers);
  return writer.bytes();
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return EXIT_FAILURE;
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  write(folder / "sample.forest", sample_file());
  write(folder / "boosted.forest", boosted());
  write(folder / "types.forest", types());
  return EXIT_SUCCESS;
}
