// The plain form of a prediction's body: what is read, and what is left to the general reader.
#include <string>
#include <string_view>
#include <vector>

#include "harness.h"
#include "wire/envelope.h"
#include "wire/predict_answer.h"

using namespace slipstream::wire;

namespace {

// A copy of exactly this size, so that ASan sees a read behind the end.
bool reads(std::string_view body, PlainEnvelope& envelope, std::vector<char>& exact) {
  exact.assign(body.begin(), body.end());
  return read_plain_envelope({exact.data(), exact.size()}, envelope);
}

bool declines(std::string_view body) {
  PlainEnvelope envelope;
  std::vector<char> exact;
  return !reads(body, envelope, exact);
}

}  // namespace

TEST(every_key_in_any_order) {
  PlainEnvelope envelope;
  std::vector<char> exact;
  REQUIRE(reads(R"( {"priority" : "urgent","data":[[1, 2],[3,4]] ,"timeout_ms":12.5,)"
                "\n\t"
                R"("model_id":"iris","batch_size":64,"return_probabilities": true } )",
                envelope, exact));
  CHECK_EQ(envelope.model_id, "iris");
  CHECK_EQ(envelope.data, "[[1, 2],[3,4]]");
  CHECK_EQ(envelope.priority, "urgent");
  CHECK_EQ(envelope.timeout_ms, 12.5);
  CHECK_EQ(envelope.batch_size, 64);
  CHECK(envelope.wants_probabilities);
}

TEST(what_is_not_given_or_null_is_not_there) {
  PlainEnvelope envelope;
  std::vector<char> exact;
  REQUIRE(reads(R"({"data":{"a":[1]},"model_id":"m","timeout_ms":null,"priority":null,)"
                R"("batch_size":null,"return_probabilities":null})",
                envelope, exact));
  CHECK_EQ(envelope.data, R"({"a":[1]})");
  CHECK(envelope.priority.empty());
  CHECK_EQ(envelope.timeout_ms, 0.0);
  CHECK_EQ(envelope.batch_size, 0);
  CHECK(!envelope.wants_probabilities);
}

TEST(brackets_in_strings_are_text) {
  PlainEnvelope envelope;
  std::vector<char> exact;
  REQUIRE(reads(R"({"data":[["]}", "{[", ""],["long enough for eight ]"]],"model_id":"m"})",
                envelope, exact));
  CHECK_EQ(envelope.data, R"([["]}", "{[", ""],["long enough for eight ]"]])");
}

TEST(the_rest_is_declined) {
  CHECK(declines(""));
  CHECK(declines("[]"));
  CHECK(declines("{}"));
  CHECK(declines(R"({"data":[[1]]})"));                              // which model?
  CHECK(declines(R"({"model_id":"m"})"));                            // no rows
  CHECK(declines(R"({"model_id":"m","data":[[1]],"x":1})"));         // unknown key
  CHECK(declines(R"({"model_id":"m","data":[[1]],"data":[[2]]})"));  // twice
  CHECK(declines(R"({"model_id":"m","data":[[1]]} x)"));             // more behind it
  CHECK(declines(R"({"model_id":"m","data":[[1]],})"));              // a comma too many
  CHECK(declines(R"({"model_id":"m" "data":[[1]]})"));               // a comma too few
  CHECK(declines(R"({"model_id":"m","data":[[1])"));                 // cut off
  CHECK(declines(R"({"model_id":"m","data":[["a)"));                 // cut off in a string
  CHECK(declines(R"({"model_id":"m","data":5})"));                   // no rows
  CHECK(declines(R"({"model_id":"","data":[[1]]})"));                // no name
  CHECK(declines(R"({"model_id":null,"data":[[1]]})"));              // the only model there is
  CHECK(declines(R"({"model_id":"\u006d","data":[[1]]})"));          // escapes
  CHECK(declines("{\"model_id\":\"\xc3\xa9\",\"data\":[[1]]}"));     // not ASCII
  CHECK(declines(R"({"model_id":"m","data":[["\""]]})"));            // escapes in rows
  CHECK(declines(R"({"model_id":"m","data":[[1]],"batch_size":0})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"batch_size":-3})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"batch_size":2.0})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"batch_size":2e3})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"batch_size":12345678901})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"timeout_ms":0})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"timeout_ms":-1})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"timeout_ms":1e999})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"timeout_ms":"5"})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"return_probabilities":1})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"return_probabilities":truex})"));
  CHECK(declines(R"({"model_id":"m","data":[[1]],"priority":7})"));
}

TEST(every_prefix_of_a_good_body_is_declined) {
  const std::string body =
      R"({"model_id":"m","data":[[1,"a"],{"b":[2]}],"timeout_ms":5,"priority":"low"})";
  for (std::size_t size = 0; size < body.size(); ++size) {
    CHECK(declines(std::string_view(body).substr(0, size)));
  }
  CHECK(!declines(body));
}

TEST(tails_of_answers) {
  const AnswerTail tail{.model_id = "m",
                        .request_id = "req_1",
                        .timestamp = "2025-01-15T10:30:00Z",
                        .inference_time_s = 2.5e-05,
                        .rows = 10};
  std::string predict;
  append_predict_tail(tail, predict);
  CHECK_EQ(predict, R"(,"model_id":"m","inference_time":2.5e-05,"request_id":"req_1",)"
                    R"("timestamp":"2025-01-15T10:30:00Z"})");
  std::string batch;
  append_batch_tail(tail, batch);
  CHECK_EQ(batch, R"(,"model_id":"m","batch_size":10,"total_inference_time":2.5e-05,)"
                  R"("average_inference_time":2.5e-06,"request_id":"req_1",)"
                  R"("timestamp":"2025-01-15T10:30:00Z"})");
}
