#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "files/json.h"

namespace reprise {

/// Builds a document from nlohmann's parser events, so that nesting is limited and a broken text is
/// described by line and byte.
class JsonBuilder final : public Json::json_sax_t {
  public:
    JsonBuilder(std::string_view text, std::string_view file) : text_(text), file_(file) {}

    Json take() { return std::move(root_); }

    bool null() override { return add(nullptr); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override { return add(value); }
    bool number_float(number_float_t value, const string_t& token) override;
    bool string(string_t& value) override { return add(std::move(value)); }
    bool binary(binary_t&) override { return false; }  // never in text
    bool start_object(std::size_t) override { return open(Json::object()); }
    bool start_array(std::size_t) override { return open(Json::array()); }
    bool key(string_t& value) override;
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception& error) override;

  private:
    bool add(Json value);
    bool open(Json container);
    bool close();

    std::string_view text_;
    std::string_view file_;
    Json root_;
    std::vector<Json*> open_;  // containers being filled, outermost first
    Json* member_ = nullptr;   // the value of the key just read
};

/// Usage error for a text that nlohmann's parser could not read: "FILE: broken JSON at line 3, byte 17: ...".
[[noreturn]] void broken_json(std::string_view text, std::string_view file, std::size_t position,
                              std::string_view reason);

}  // namespace reprise
