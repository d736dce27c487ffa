// What the tensorrt backend decides by itself: headers of plans, options, faces, and what it says
// of plans that do not load.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "backends/tensorrt/face.h"
#include "backends/tensorrt/options.h"
#include "backends/tensorrt/plan_header.h"
#include "backends/tensorrt/refusal.h"
#include "harness.h"
#include "plan_writer.h"

namespace slipstream::tensorrt {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

bool says(const Status& status, StatusCode code, std::initializer_list<std::string_view> words) {
  const bool has_all = std::ranges::all_of(words, [&](std::string_view word) {
    return status.message().find(word) != std::string::npos;
  });
  if (status.code() == code && has_all) return true;
  std::cerr << "     " << status_code_name(status.code()) << ": " << status.message() << '\n';
  return false;
}

Result<TensorRtOptions> options_of(std::map<std::string, std::string> options) {
  return TensorRtOptions::parse({.path = {}, .options = std::move(options)});
}

Described tensor(std::string name, bool is_input, std::vector<std::int64_t> dims) {
  Described made;
  made.name = std::move(name);
  made.is_input = is_input;
  made.dtype = DType::kFloat32;
  made.type_name = "FLOAT";
  made.min = made.max = made.dims = std::move(dims);
  std::ranges::replace(made.min, -1, 1);
  std::ranges::replace(made.max, -1, 8);
  return made;
}

const std::vector<Described> kRows{tensor("x", true, {-1, 3}), tensor("z", true, {-1}),
                                   tensor("y", false, {-1, 5})};

Result<Face> face(const std::vector<Described>& tensors,
                  std::map<std::string, std::string> options = {}) {
  const Result<TensorRtOptions> parsed = options_of(std::move(options));
  REQUIRE(parsed.is_ok());
  return face_of(tensors, parsed.value(), "a.plan");
}

TEST(a_header_tells_the_version_that_built_the_plan) {
  const std::string plan = plan_bytes({10, 16, 1}, "more");
  CHECK_EQ(plan, "ftrt" + std::string(20, '\0') + "\x0A\x10\x01" + '\0' + "more");
  const Result<PlanHeader> header = read_plan_header(bytes_of(plan), "a.plan");
  REQUIRE(header.is_ok());
  CHECK(header.value().built_by == (Version{.major = 10, .minor = 16, .patch = 1}));
  CHECK_EQ(to_string(*header.value().built_by), "10.16.1");
  const std::string later = plan_bytes({10, 16, 1}, "more", 1);
  const Result<PlanHeader> unknown = read_plan_header(bytes_of(later), "a.plan");
  REQUIRE(unknown.is_ok());
  CHECK(!unknown.value().built_by);
}

TEST(what_is_no_plan_or_less_than_a_header_is_refused) {
  const auto refusal = [](const std::string& text) {
    return read_plan_header(bytes_of(text), "a.plan").status();
  };
  CHECK(says(refusal(""), StatusCode::kInvalidArgument, {"a.plan", "no TensorRT plan"}));
  CHECK(says(refusal("ftr"), StatusCode::kInvalidArgument, {"no TensorRT plan"}));
  CHECK(says(refusal("(this is) no plan at all, and long enough"), StatusCode::kInvalidArgument,
             {"no TensorRT plan", "trtexec"}));
  const std::string whole = plan_bytes({10, 0, 0}, "");
  CHECK(says(refusal(whole.substr(0, 27)), StatusCode::kInvalidArgument, {"cut short", "27"}));
  CHECK(read_plan_header(bytes_of(whole), "a.plan").is_ok());
}

TEST(options_have_defaults_and_are_refused_by_name) {
  const Result<TensorRtOptions> defaults = options_of({});
  REQUIRE(defaults.is_ok());
  CHECK(defaults.value().devices == std::vector<int>{0});
  CHECK_EQ(defaults.value().graph_rows, 0);
  CHECK_EQ(defaults.value().slots, 3U);
  CHECK(!defaults.value().host_code);
  const Result<TensorRtOptions> given = options_of({{"device", "cuda:3,cuda:1"},
                                                    {"slots", "1"},
                                                    {"profile", "2"},
                                                    {"host_code", "true"},
                                                    {"graph_rows", "16"},
                                                    {"library_path", "/a/b"}});
  REQUIRE(given.is_ok());
  CHECK(given.value().devices == (std::vector<int>{3, 1}));
  CHECK_EQ(given.value().graph_rows, 16);
  CHECK_EQ(given.value().slots, 1U);
  CHECK_EQ(given.value().profile, 2);
  CHECK(given.value().host_code);
  CHECK_EQ(given.value().library_path, "/a/b");
  for (const char* bad : {"", "cpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:1,cuda:1"}) {
    CHECK(says(options_of({{"device", bad}}).status(), StatusCode::kInvalidArgument, {"'device'"}));
  }
  CHECK(says(options_of({{"slots", "0"}}).status(), StatusCode::kInvalidArgument, {"slots"}));
  CHECK(says(options_of({{"profile", "-1"}}).status(), StatusCode::kInvalidArgument, {"profile"}));
  CHECK(says(options_of({{"graph_rows", "-1"}}).status(), StatusCode::kInvalidArgument,
             {"graph_rows"}));
}

TEST(a_face_has_the_profiles_rows_and_batches_by_first_dimensions) {
  std::vector<Described> tensors = kRows;
  tensors[1].max = {4};
  const Result<Face> both = face(tensors);
  REQUIRE(both.is_ok());
  CHECK(both.value().spec.batchable);
  CHECK_EQ(both.value().spec.max_rows, 4);
  CHECK_EQ(both.value().min_rows, 1);
  CHECK_EQ(both.value().spec.inputs.size(), 2U);
  CHECK_EQ(both.value().spec.outputs.size(), 1U);
  CHECK(!face(kRows, {{"batchable", "false"}}).value().spec.batchable);
  CHECK_EQ(face(kRows, {{"batchable", "false"}}).value().spec.max_rows, 0);
  tensors[0].min = {3, 3};
  CHECK_EQ(face(tensors).value().min_rows, 3);
  tensors[2].dims = {5};
  CHECK(!face(tensors).value().spec.batchable);
  CHECK(says(face(tensors, {{"batchable", "true"}}).status(), StatusCode::kInvalidArgument,
             {"'y'", "[5]", "fixed"}));
  CHECK(!face({tensor("x", true, {}), tensor("y", false, {})}).value().spec.batchable);
  CHECK(
      says(face({}, {{"batchable", "true"}}).status(), StatusCode::kInvalidArgument, {"no input"}));
}

TEST(tensors_that_cannot_be_served_are_refused_by_name) {
  const auto refusal = [](auto change) {
    std::vector<Described> tensors = kRows;
    change(tensors);
    return face(tensors).status();
  };
  CHECK(says(refusal([](auto& all) { all[1].is_on_host = true; }), StatusCode::kInvalidArgument,
             {"a.plan", "input 'z'", "shape tensor"}));
  CHECK(says(refusal([](auto& all) {
               all[2].dtype.reset();
               all[2].type_name = "FP8";
             }),
             StatusCode::kInvalidArgument, {"output 'y'", "FP8"}));
  CHECK(says(refusal([](auto& all) { all[0].is_linear = false; }), StatusCode::kInvalidArgument,
             {"input 'x'", "linear"}));
  CHECK(says(refusal([](auto& all) { all[0].max.clear(); }), StatusCode::kInvalidArgument,
             {"profile 0", "input 'x'"}));
}

TEST(shapes_out_of_the_profile_are_refused_with_what_it_takes) {
  const Face made = face(kRows).value();
  const auto check = [&](std::vector<std::int64_t> dims) { return check_fits(made, 0, dims); };
  CHECK(check({1, 3}).is_ok());
  CHECK(check({8, 3}).is_ok());
  CHECK(says(check({9, 3}), StatusCode::kInvalidArgument, {"'x'", "[9, 3]", "[1 to 8, 3]"}));
  CHECK(says(check({0, 3}), StatusCode::kInvalidArgument, {"[0, 3]"}));
  CHECK(says(check({1, 4}), StatusCode::kInvalidArgument, {"[1, 4]"}));
  CHECK(says(check({1, 3, 1}), StatusCode::kInvalidArgument, {"[1, 3, 1]"}));
}

TEST(what_tensorrt_said_ends_the_message) {
  CHECK_EQ(refused("a.plan", "it is refused", "out of tactics").message(),
           "tensorrt backend: a.plan: it is refused. TensorRT says: out of tactics");
  CHECK_EQ(refused("a.plan", "it is refused", "").message(),
           "tensorrt backend: a.plan: it is refused");
  CHECK(refused("a.plan", "it is refused", "").code() == StatusCode::kInternal);
}

TEST(a_plan_that_does_not_load_is_told_with_its_reason_and_what_to_do) {
  const PlanHeader header{.built_by = Version{.major = 10, .minor = 16, .patch = 1}};
  RuntimeFacts runtime{.library = "/x/libnvinfer.so.10",
                       .version = {.major = 10, .minor = 16, .patch = 1},
                       .device = "A GPU (cuda:0)"};
  const auto why = [&](const std::string& told) {
    return why_not_deserialized("a.plan", header, runtime, told);
  };
  CHECK(says(
      why(""), StatusCode::kInvalidArgument,
      {"a.plan", "built by TensorRT 10.16.1", "/x/libnvinfer.so.10", "A GPU (cuda:0)", "damaged"}));
  CHECK(says(why("Some reason"), StatusCode::kInvalidArgument, {"TensorRT says: Some reason"}));
  CHECK(says(why("generated on an Incompatible Device"), StatusCode::kFailedPrecondition,
             {"another GPU", "convert the model again on this machine"}));
  CHECK(says(why("CUDA out of memory"), StatusCode::kResourceExhausted, {"memory"}));
  CHECK(says(why("Host code is not allowed"), StatusCode::kFailedPrecondition,
             {"ALLOW_CUSTOM_CODE"}));
  runtime.is_lean = true;
  CHECK(says(why(""), StatusCode::kFailedPrecondition, {"lean runtime", "version_compatible"}));
  runtime.version.minor = 3;
  CHECK(says(why("The version does not match"), StatusCode::kFailedPrecondition,
             {"version_compatible", "tensorrt-cu13==10.16.1", "10.3.1", "does not match"}));
}

}  // namespace
}  // namespace slipstream::tensorrt
