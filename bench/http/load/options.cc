#include "options.h"

#include <cmath>
#include <exception>

#include "load_error.h"

namespace slipstream::load {
namespace {

double number(const std::string& name, const std::string& text, double least) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (text.empty() || used != text.size() || !std::isfinite(value) || value < least) {
    throw LoadError(name + ": '" + text + "' is no number of at least " + std::to_string(least));
  }
  return value;
}

std::size_t count(const std::string& name, const std::string& text, std::size_t least) {
  const double value = number(name, text, static_cast<double>(least));
  if (value != std::floor(value) || value > 1e9) {
    throw LoadError(name + ": '" + text + "' is no count");
  }
  return static_cast<std::size_t>(value);
}

Rhythm rhythm_of(const std::string& text) {
  if (text == "closed") return Rhythm::kClosed;
  if (text == "uniform") return Rhythm::kUniform;
  if (text == "poisson") return Rhythm::kPoisson;
  if (text == "gamma") return Rhythm::kGamma;
  throw LoadError("arrivals: '" + text + "' is none of closed, uniform, poisson, gamma");
}

void set(ClassOptions& made, const std::string& word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) throw LoadError("'" + word + "' is not KEY=VALUE");
  const std::string key = word.substr(0, equals);
  const std::string value = word.substr(equals + 1);
  if (key == "requests") {
    made.requests = value;
  } else if (key == "answers") {
    made.answers = value;
  } else if (key == "key") {
    made.key = value;
  } else if (key == "connections") {
    made.connections = count(key, value, 1);
  } else if (key == "arrivals") {
    made.rhythm = rhythm_of(value);
  } else if (key == "rate") {
    made.rate = number(key, value, 0);
  } else if (key == "shape") {
    made.shape = number(key, value, 1e-3);
  } else if (key == "seed") {
    made.seed = count(key, value, 0);
  } else if (key == "deadline_ms") {
    made.deadline_ms = number(key, value, 0);
  } else if (key == "variants") {
    made.variants = count(key, value, 1);
  } else {
    throw LoadError("no key '" + key + "' of a class");
  }
}

void require_whole(const Options& options) {
  if (options.connect.empty()) throw LoadError("--connect is needed");
  if (options.classes.empty()) throw LoadError("--class is needed");
  for (const ClassOptions& made : options.classes) {
    if (made.requests.empty()) throw LoadError(made.name + ": requests=FILE is needed");
    if ((made.rhythm == Rhythm::kClosed) != (made.rate == 0)) {
      throw LoadError(made.name + ": an open loop has a rate, a closed one none");
    }
  }
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  Options options;
  std::size_t at = 0;
  const auto value = [&words, &at](const std::string& name) -> const std::string& {
    if (++at >= words.size()) throw LoadError(name + " needs a value");
    return words[at];
  };
  for (; at < words.size(); ++at) {
    const std::string& word = words[at];
    if (word == "--connect") {
      options.connect = value(word);
    } else if (word == "--seconds") {
      options.seconds = number(word, value(word), 0.001);
    } else if (word == "--warmup") {
      options.warmup_s = number(word, value(word), 0);
    } else if (word == "--drain") {
      options.drain_s = number(word, value(word), 0);
    } else if (word == "--idle") {
      options.idle = count(word, value(word), 0);
    } else if (word == "--turn-ms") {
      options.turn_ms = number(word, value(word), 0);
    } else if (word == "--coalesce-us") {
      options.coalesce_us = number(word, value(word), 0);
    } else if (word == "--class") {
      options.classes.emplace_back().name = value(word);
      while (at + 1 < words.size() && !words[at + 1].starts_with("--")) {
        set(options.classes.back(), words[++at]);
      }
    } else {
      throw LoadError("no option '" + word + "'");
    }
  }
  require_whole(options);
  return options;
}

}  // namespace slipstream::load
