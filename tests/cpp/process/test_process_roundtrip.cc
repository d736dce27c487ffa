// Values through a real worker and back: every dtype, every kind of shape, errors, limits, options.
#include <cstring>

#include "core/dtype.h"
#include "process_fixture.h"

namespace {

using namespace process_test;

// Bytes that mean something in every dtype: small whole numbers.
void fill(Tensor& tensor) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(tensor.elements()); ++i) {
    const auto n = static_cast<std::uint8_t>(i % 100);
    switch (tensor.dtype()) {
      case DType::kBool:
        tensor.as<std::uint8_t>()[i] = i % 2;
        break;
      case DType::kInt8:
        tensor.as<std::int8_t>()[i] = static_cast<std::int8_t>(-n);
        break;
      case DType::kInt16:
        tensor.as<std::int16_t>()[i] = static_cast<std::int16_t>(-300 - n);
        break;
      case DType::kInt32:
        tensor.as<std::int32_t>()[i] = -70'000 - n;
        break;
      case DType::kInt64:
        tensor.as<std::int64_t>()[i] = -5'000'000'000 - n;
        break;
      case DType::kUint8:
        tensor.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(150 + n);
        break;
      case DType::kUint16:
        tensor.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(60'000 + n);
        break;
      case DType::kUint32:
        tensor.as<std::uint32_t>()[i] = 4'000'000'000U + n;
        break;
      case DType::kUint64:
        tensor.as<std::uint64_t>()[i] = 18'000'000'000'000'000'000U + n;
        break;
      case DType::kFloat16:
        tensor.as<std::uint16_t>()[i] = 0x3e00;
        break;  // 1.5
      case DType::kBfloat16:
        tensor.as<std::uint16_t>()[i] = 0x3fc0;
        break;  // 1.5
      case DType::kFloat32:
        tensor.as<float>()[i] = 0.25F + n;
        break;
      case DType::kFloat64:
        tensor.as<double>()[i] = 0.1 + n;
        break;
      case DType::kString:
        tensor.strings()[i] = "wörd " + std::to_string(n);
        break;
    }
  }
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  if (a.dtype() == DType::kString) return std::ranges::equal(a.strings(), b.strings());
  return a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

std::vector<Tensor> one_of_each(const Shape& shape) {
  std::vector<Tensor> tensors;
  for (int code = 0; code < slipstream::kDTypeCount; ++code) {
    tensors.push_back(Tensor::allocate(static_cast<DType>(code), shape));
    fill(tensors.back());
  }
  return tensors;
}

void check_echo(Instance& instance, const Shape& shape) {
  const std::vector<Tensor> inputs = one_of_each(shape);
  std::vector<Tensor> outputs;
  const Status status = instance.execute({.inputs = inputs}, outputs);
  CHECK_EQ(status.message(), std::string());
  REQUIRE(outputs.size() == inputs.size() + 1);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!same(inputs[i], outputs[i])) std::cerr << dtype_name(inputs[i].dtype()) << '\n';
    CHECK(same(inputs[i], outputs[i]));
    CHECK(reinterpret_cast<std::uintptr_t>(outputs[i].data()) % Tensor::kAlignment == 0);
  }
}

}  // namespace

TEST(every_dtype_and_rank_comes_back_bit_for_bit) {
  const std::pair<const char*, std::vector<Shape>> ranks[] = {
      {"", {Shape{}}},
      {"-1", {Shape{1}, Shape{7}, Shape{0}, Shape{1000}}},
      {"-1,3", {Shape{2, 3}, Shape{0, 3}}},
      {"-1,-1,2,1,1,3,2", {Shape{2, 2, 2, 1, 1, 3, 2}, Shape{3, 0, 2, 1, 1, 3, 2}}}};
  for (const auto& [dims, shapes] : ranks) {
    const auto model = load("Echo", {{"runner.dims", dims}});
    CHECK_EQ(model->spec().inputs.size(), 14U);
    const auto instance = must(model->create_instance());
    for (const Shape& shape : shapes) check_echo(*instance, shape);
  }
}

TEST(python_sees_the_same_values) {
  const auto model = load("Echo");
  const auto instance = must(model->create_instance());
  const std::vector<Tensor> inputs = one_of_each(Shape{2});
  std::vector<Tensor> outputs;
  REQUIRE(instance->execute({.inputs = inputs}, outputs).is_ok());
  const std::vector<std::string> expected{"bool:[False, True]",
                                          "int8:[0, -1]",
                                          "int16:[-300, -301]",
                                          "int32:[-70000, -70001]",
                                          "int64:[-5000000000, -5000000001]",
                                          "uint8:[150, 151]",
                                          "uint16:[60000, 60001]",
                                          "uint32:[4000000000, 4000000001]",
                                          "uint64:[18000000000000000000, 18000000000000000001]",
                                          "float16:[1.5, 1.5]",
                                          "bfloat16:[1.5, 1.5]",
                                          "float32:[0.25, 1.25]",
                                          "float64:[0.1, 1.1]",
                                          "object:['wörd 0', 'wörd 1']"};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK_EQ(outputs.back().strings()[i], expected[i]);
  }
}

TEST(strings_keep_unicode_nul_emptiness_and_absence) {
  const auto model = load("Echo");
  const auto instance = must(model->create_instance());
  std::vector<Tensor> inputs = one_of_each(Shape{0});
  inputs.back() = strings({"", "日本語 🚀", std::string(slipstream::kMissingString),
                           std::string("a\0b", 3), std::string(100'000, 'x')});
  std::vector<Tensor> outputs;
  REQUIRE(instance->execute({.inputs = inputs}, outputs).is_ok());
  CHECK(same(inputs.back(), outputs[13]));
  CHECK(outputs[14].strings()[13].starts_with("object:['', '日本語 🚀', nan, 'a\\x00b', 'xxx"));

  inputs.back() = strings({"\xc3("});  // not UTF-8
  CHECK(instance->execute({.inputs = inputs}, outputs).code() == StatusCode::kInvalidArgument);
}

TEST(unwanted_outputs_are_left_out) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const Answer answer = command(*instance, std::vector<std::string>{"data:10"}, 0b010);
  REQUIRE(answer.status.is_ok());
  CHECK(answer.outputs.at(0).data() == nullptr);
  CHECK_EQ(answer.outputs.at(1).elements(), 10);
  CHECK(answer.outputs.at(2).data() == nullptr);
}

TEST(a_batchable_model_says_so_and_its_output_is_converted) {
  const auto model = load("Scale", {{"runner.factor", "2.5"}});
  CHECK(model->spec().batchable);
  CHECK(!model->may_run_inline());
  CHECK(model->spec().outputs.at(0).dims == (std::vector<std::int64_t>{-1, 3}));
  const auto instance = must(model->create_instance());
  const std::vector<Tensor> inputs{Tensor::allocate(DType::kFloat32, {2, 3})};
  std::vector<Tensor> outputs;
  Tensor view = inputs[0];
  std::ranges::fill(view.as<float>(), 2.0F);
  REQUIRE(instance->execute({.inputs = inputs}, outputs).is_ok());
  CHECK_EQ(outputs.at(0).as<float>()[5], 5.0F);
}

TEST(errors_of_the_model_carry_their_message_and_do_not_hurt_the_worker) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  const std::int64_t pid = command(*instance, "pid").pid();
  const auto fails = [&](const std::string& word, StatusCode code, std::string_view text) {
    const Status status = command(*instance, word).status;
    CHECK(status.code() == code);
    CHECK(contains(status, text));
  };
  fails("raise:ValueError:column 3 is odd", StatusCode::kInvalidArgument, "column 3 is odd");
  fails("raise:TypeError:no", StatusCode::kInvalidArgument, "no");
  fails("raise:KeyError:k", StatusCode::kInternal, "KeyError: 'k'");
  fails("raise:ZeroDivisionError:", StatusCode::kInternal, "ZeroDivisionError");
  fails("raise:ValueError:" + std::string(20'000, 'y'), StatusCode::kInvalidArgument, "yyy");
  fails("wrong_dtype", StatusCode::kInternal, "'data' as float32");
  fails("wrong_rank", StatusCode::kInternal, "shape [1, 1], but declares [-1]");
  fails("no_output", StatusCode::kInternal, "no output 'pid'");
  fails("too_few", StatusCode::kInternal, "1 outputs, but declares 3");
  fails("not_text", StatusCode::kInternal, "type int");
  fails("surrogate", StatusCode::kInternal, "'text'");
  const Answer after = command(*instance, "pid");
  REQUIRE(after.status.is_ok());
  CHECK_EQ(after.pid(), pid);
  CHECK_EQ(instance->restarts(), 0U);
}

TEST(inputs_that_do_not_fit_the_specification_never_reach_the_worker) {
  const auto model = load("Scale", {{"runner.factor", "1"}});
  const auto instance = must(model->create_instance());
  const std::vector<std::vector<Tensor>> wrong{
      {},
      {Tensor::allocate(DType::kFloat64, {2, 3})},
      {Tensor::allocate(DType::kFloat32, {2, 4})},
      {Tensor::allocate(DType::kFloat32, {3})},
      {Tensor::allocate(DType::kFloat32, {2, 3}), Tensor::allocate(DType::kFloat32, {2, 3})}};
  for (const std::vector<Tensor>& inputs : wrong) {
    std::vector<Tensor> outputs;
    CHECK(instance->execute({.inputs = inputs}, outputs).code() == StatusCode::kInvalidArgument);
  }
}

TEST(segments_grow_beyond_their_first_size_in_both_directions) {
  const auto model = load("Control");
  const auto instance = must(model->create_instance());
  for (const std::size_t size : {std::size_t{100}, std::size_t{100'000}, std::size_t{5'000'000},
                                 std::size_t{70'000}, std::size_t{40'000'000}}) {
    const Answer request =
        command(*instance, std::vector<std::string>{"lengths", std::string(size, 'z')});
    REQUIRE(request.status.is_ok());
    CHECK_EQ(request.text(1), std::to_string(size));
    const Answer response = command(*instance, "data:" + std::to_string(size));
    REQUIRE(response.status.is_ok());
    const auto data = response.outputs[1].as<std::uint8_t>();
    REQUIRE(data.size() == size);
    CHECK_EQ(static_cast<std::size_t>(data[size - 1]), (size - 1) % 251);
  }
}

TEST(messages_over_the_limit_are_refused_and_the_worker_lives) {
  const auto model = load("Control", {{"max_message_mb", "1"}});
  const auto instance = must(model->create_instance());
  const std::int64_t pid = command(*instance, "pid").pid();
  const Status request =
      command(*instance, std::vector<std::string>{"lengths", std::string(2 << 20, 'z')}).status;
  CHECK(request.code() == StatusCode::kInvalidArgument);
  CHECK(contains(request, "max_message_mb"));
  const Status response = command(*instance, "data:2000000").status;
  CHECK(response.code() == StatusCode::kInvalidArgument);
  CHECK(contains(response, "max_message_mb"));
  CHECK_EQ(command(*instance, "data:1000000").outputs.at(1).elements(), 1'000'000);
  CHECK_EQ(command(*instance, "pid").pid(), pid);
}

TEST(options_reach_the_worker) {
  const TemporaryFolder folder;
  const std::string artifact = folder.write("some model.bin", "");
  const auto model = load("Control",
                          {{"runner.depth", "3"},
                           {"runner.name", "a=b c"},
                           {"env.GREETING", "grüezi"},
                           {"env.MKL_NUM_THREADS", "4"},
                           {"memory_limit_mb", "8192"}},
                          artifact);
  const auto instance = must(model->create_instance());
  const Answer loaded = command(*instance, "loaded_with");
  REQUIRE(loaded.status.is_ok());
  CHECK_EQ(loaded.text(0), artifact);
  CHECK_EQ(loaded.text(1), std::string("depth=3"));
  CHECK_EQ(loaded.text(2), std::string("name=a=b c"));
  CHECK_EQ(command(*instance, "environment:GREETING").text(), std::string("grüezi"));
  CHECK_EQ(command(*instance, "environment:OMP_NUM_THREADS").text(), std::string("1"));
  CHECK_EQ(command(*instance, "environment:MKL_NUM_THREADS").text(), std::string("4"));
  CHECK_EQ(command(*instance, "environment:NO_SUCH_NAME").text(),
           std::string(slipstream::kMissingString));
  CHECK_EQ(command(*instance, "limit").text(), std::to_string(8192ULL << 20));
}

TEST(only_what_is_listed_is_inherited) {
  for (const char* name : {"SLIPSTREAM_TEST_A", "SLIPSTREAM_TEST_B", "SLIPSTREAM_TESTED"}) {
    REQUIRE(setenv(name, "here", 1) == 0);
  }
  const auto inherited = [](const char* list, const char* name) {
    const auto model = load("Control", {{"inherit", list}});
    const auto instance = must(model->create_instance());
    return command(*instance, std::string("environment:") + name).text() == "here";
  };
  CHECK(inherited("PATH,SLIPSTREAM_TEST_A", "SLIPSTREAM_TEST_A"));
  CHECK(!inherited("PATH,SLIPSTREAM_TEST_A", "SLIPSTREAM_TEST_B"));
  CHECK(inherited("SLIPSTREAM_TEST_*,PATH", "SLIPSTREAM_TEST_B"));
  CHECK(!inherited("SLIPSTREAM_TEST_*,PATH", "SLIPSTREAM_TESTED"));
  CHECK(!inherited("", "SLIPSTREAM_TEST_A"));
}

TEST(bad_options_are_refused_with_their_name) {
  const auto refuses = [](const Options& options, std::string_view text) {
    const Status status = load_failure("Control", options);
    CHECK(status.code() == StatusCode::kInvalidArgument);
    CHECK(contains(status, text));
  };
  refuses({{"threads", "4"}}, "unknown option 'threads'");
  refuses({{"execute_timeout_ms", "soon"}}, "execute_timeout_ms");
  refuses({{"execute_timeout_ms", "0"}}, "from 1 to");
  refuses({{"max_message_mb", "-1"}}, "max_message_mb");
  refuses({{"memory_limit_mb", "99999999999999999999"}}, "memory_limit_mb");
  refuses({{"python", ""}}, "option 'python'");
  refuses({{"runner", "just_a_module"}}, "module:callable");
  refuses({{"env.", "x"}}, "unknown option 'env.'");
  refuses({{"runner.x", std::string("a\0b", 3)}}, "NUL");
}
