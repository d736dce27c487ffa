#include "commands.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <utility>

namespace slipstream::bench {
namespace {

using Fields = std::vector<std::string>;

Fields split(const std::string& line) {
  Fields fields(1);
  for (const char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

void require_fields(const Fields& fields, std::size_t count) {
  if (fields.size() >= count) return;
  throw BenchError(fields.front() + " needs " + std::to_string(count - 1) + " fields");
}

std::size_t number(const std::string& text) {
  std::size_t used = 0;
  const unsigned long value = std::stoul(text, &used);
  if (used != text.size()) throw BenchError("'" + text + "' is no number");
  return value;
}

void pin(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) {
    throw BenchError("cannot run on cpu " + std::to_string(cpu));
  }
}

LoadOptions load_options(const Fields& fields) {
  LoadOptions options;
  for (std::size_t i = 3; i < fields.size(); ++i) {
    const std::size_t equals = fields[i].find('=');
    if (equals == std::string::npos) throw BenchError("'" + fields[i] + "' is not KEY=VALUE");
    options.extra[fields[i].substr(0, equals)] = fields[i].substr(equals + 1);
  }
  const auto take = [&options](const char* name) {
    auto node = options.extra.extract(name);
    return node.empty() ? std::string() : std::move(node.mapped());
  };
  options.artifact = take("artifact");
  options.library = take("library");
  options.threads = static_cast<int>(number(take("threads")));
  options.features = static_cast<int>(number(take("features")));
  return options;
}

std::string one_line(std::string text) {
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\t' || c == '\r'; }, ' ');
  return text;
}

}  // namespace

std::string Commands::execute(const std::string& line) noexcept {
  try {
    return "ok" + dispatch(split(line));
  } catch (const std::exception& error) {
    return "error\t" + one_line(error.what());
  }
}

std::string Commands::dispatch(const Fields& fields) {
  const std::string& command = fields.front();
  if (command == "pin") {
    require_fields(fields, 2);
    pin(number(fields[1]));
    return "";
  }
  if (command == "data") {
    require_fields(fields, 6);
    data_[fields[1]] =
        std::make_unique<Matrix>(fields[2], fields[3], number(fields[4]), number(fields[5]));
    return "";
  }
  if (command == "load") return load(fields);
  if (command == "time") return time(fields);
  if (command == "answer") return answer(fields);
  if (command == "drop") {
    require_fields(fields, 2);
    rivals_.erase(fields[1]);
    return "";
  }
  throw BenchError("no command '" + command + "'");
}

std::string Commands::load(const Fields& fields) {
  require_fields(fields, 3);
  std::unique_ptr<Rival> made = make_rival(fields[2], load_options(fields));
  const std::string element = made->element() == Element::kFloat64 ? "float64" : "float32";
  const std::string outputs = std::to_string(made->outputs());
  rivals_[fields[1]] = {std::move(made), 0};
  return "\t" + element + "\t" + outputs;
}

std::string Commands::time(const Fields& fields) {
  require_fields(fields, 5);
  Loaded& loaded = rival(fields[1]);
  Rival& rival = *loaded.rival;
  const Matrix& matrix = data(fields[2]);
  const std::size_t batch = number(fields[3]);
  const std::size_t calls = number(fields[4]);
  if (batch < 1 || batch > matrix.rows()) throw BenchError("batch does not fit into the data");
  rival.reserve(batch);
  const Element element = rival.element();
  std::size_t row = loaded.next_row;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t call = 0; call < calls; ++call) {
    if (row + batch > matrix.rows()) row = 0;
    rival.predict(matrix.from(row, element), batch);
    row += batch;
  }
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  loaded.next_row = row;
  return "\t" +
         std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
}

std::string Commands::answer(const Fields& fields) {
  require_fields(fields, 5);
  Rival& rival = *this->rival(fields[1]).rival;
  const Matrix& matrix = data(fields[2]);
  const std::size_t batch = std::min(number(fields[3]), matrix.rows());
  std::ofstream file(fields[4], std::ios::binary);
  std::vector<double> answers(batch * rival.outputs());
  rival.reserve(batch);
  for (std::size_t row = 0; row < matrix.rows(); row += batch) {
    const std::size_t count = std::min(batch, matrix.rows() - row);
    rival.predict(matrix.from(row, rival.element()), count);
    rival.answers(count, answers);
    file.write(reinterpret_cast<const char*>(answers.data()),
               static_cast<std::streamsize>(count * rival.outputs() * sizeof(double)));
  }
  file.close();
  if (!file) throw BenchError("cannot write " + fields[4]);
  return "";
}

Commands::Loaded& Commands::rival(const std::string& name) {
  const auto found = rivals_.find(name);
  if (found == rivals_.end()) throw BenchError("no rival '" + name + "' is loaded");
  return found->second;
}

const Matrix& Commands::data(const std::string& name) const {
  const auto found = data_.find(name);
  if (found == data_.end()) throw BenchError("no data '" + name + "'");
  return *found->second;
}

}  // namespace slipstream::bench
