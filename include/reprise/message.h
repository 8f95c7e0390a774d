#pragma once

#include <functional>
#include <string>

#pragma GCC visibility push(default)

namespace reprise {

/// Something that a call has to say.
struct Message {
    enum class Level {
        info,     ///< what was chosen, such as by the policy "auto"
        warning,  ///< what a user would want to change, such as a prompt that was cut
    };
    Level level = Level::info;
    std::string text;  ///< one line

    friend bool operator==(const Message&, const Message&) = default;
};

/// Hears the messages of a call, on the thread of the call.
using OnMessage = std::function<void(const Message&)>;

}  // namespace reprise

#pragma GCC visibility pop
