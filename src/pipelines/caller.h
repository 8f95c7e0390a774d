#pragma once

#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "backends/store.h"
#include "reprise/error.h"
#include "reprise/message.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// What the parts of a pipeline know of the call that they work for.
struct Caller {
    std::stop_token stop = {};
    OnMessage on_message = {};

    Caller() = default;
    explicit Caller(const GenerateOptions& options) : stop(options.stop), on_message(options.on_message) {}

    void say(Message::Level level, std::string text) const {
        if (on_message) on_message({level, std::move(text)});
    }
    void warn(std::string text) const { say(Message::Level::warning, std::move(text)); }
    /// Error (cancelled) after a stop.
    void check_stop() const {
        if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "stopped");
    }
};

/// The messages of one call, each once, in their order.
class Messages {
  public:
    explicit Messages(OnMessage hears) : hears_(std::move(hears)) {}

    void add(const Message& message);
    const std::vector<Message>& all() const { return all_; }

  private:
    OnMessage hears_;
    std::vector<Message> all_;
};

}  // namespace reprise::pipelines
