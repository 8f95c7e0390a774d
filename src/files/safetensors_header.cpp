#include "files/safetensors_header.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "files/json_builder.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

namespace {

struct KnownType {
    std::string_view name;
    unsigned bits;
    std::optional<DType> type;
};

/// Every type of the format; those without a DType are listed but cannot be loaded.
constexpr std::array<KnownType, 19> kTypes{{
    {"F32", 32, DType::f32},      {"F16", 16, DType::f16},      {"BF16", 16, DType::bf16},
    {"F64", 64, DType::f64},      {"I64", 64, DType::i64},      {"I32", 32, DType::i32},
    {"I16", 16, DType::i16},      {"I8", 8, DType::i8},         {"U8", 8, DType::u8},
    {"BOOL", 8, DType::boolean},  {"U16", 16, std::nullopt},    {"U32", 32, std::nullopt},
    {"U64", 64, std::nullopt},    {"C64", 64, std::nullopt},    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt}, {"F8_E8M0", 8, std::nullopt}, {"F6_E2M3", 6, std::nullopt},
    {"F4", 4, std::nullopt},
}};

constexpr std::size_t kMaxRank = 32;

/// Follows the parser's events through the header's fixed form, so that nothing else is ever built.
class HeaderReader final : public Json::json_sax_t {
  public:
    HeaderReader(std::string_view text, std::string_view file, SafetensorsHeader& header)
        : text_(text), file_(file), header_(header) {}

    bool null() override { unexpected("null"); }
    bool boolean(bool) override { unexpected("true or false"); }
    bool number_integer(number_integer_t value) override { unexpected(fmt::format("{}", value)); }
    bool number_float(number_float_t, const string_t& token) override { unexpected(token); }
    bool binary(binary_t&) override { unexpected("binary data"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (place_ == Place::shape) {
            if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
                entry_.shape.size() == kMaxRank)
                unexpected(fmt::format("{} as dimension {}", value, entry_.shape.size()));
            entry_.shape.push_back(static_cast<std::int64_t>(value));
        } else if (place_ == Place::offsets && offsets_ < 2) {
            (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
        } else {
            unexpected(fmt::format("{}", value));
        }
        return true;
    }

    bool string(string_t& value) override {
        if (place_ == Place::metadata)
            header_.metadata[field_] = std::move(value);
        else if (place_ == Place::entry && field_ == "dtype")
            entry_.dtype = std::move(value);
        else
            unexpected('"' + value + '"');
        return true;
    }

    bool start_object(std::size_t) override {
        if (place_ == Place::before) {
            place_ = Place::root;
        } else if (place_ == Place::root) {
            place_ = name_ == "__metadata__" ? Place::metadata : Place::entry;
            entry_ = {};
            fields_.clear();
            offsets_ = 0;
        } else {
            unexpected("an object");
        }
        return true;
    }

    bool key(string_t& value) override {
        if (place_ == Place::root) {
            name_ = value;
            if (header_.entries.contains(name_) || (name_ == "__metadata__" && has_metadata_))
                bad("is listed twice");
            return true;
        }
        field_ = value;
        if (place_ == Place::metadata) {
            if (header_.metadata.contains(field_)) bad(fmt::format("has \"{}\" twice", printable(field_)));
            return true;
        }
        if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets")
            bad(fmt::format("has \"{}\"; expected dtype, shape and data_offsets", printable(field_)));
        if (std::find(fields_.begin(), fields_.end(), field_) != fields_.end())
            bad(fmt::format("has \"{}\" twice", field_));
        fields_.push_back(field_);
        return true;
    }

    bool start_array(std::size_t) override {
        if (place_ == Place::entry && field_ == "shape")
            place_ = Place::shape;
        else if (place_ == Place::entry && field_ == "data_offsets")
            place_ = Place::offsets;
        else
            unexpected("a list");
        return true;
    }

    bool end_array() override {
        if (place_ == Place::offsets && offsets_ != 2) bad("does not have two data_offsets");
        place_ = Place::entry;
        return true;
    }

    bool end_object() override {
        if (place_ == Place::entry) {
            if (fields_.size() != 3) bad("lacks one of dtype, shape and data_offsets");
            header_.entries.emplace(name_, std::move(entry_));
        }
        has_metadata_ = has_metadata_ || place_ == Place::metadata;
        place_ = place_ == Place::root ? Place::after : Place::root;
        return true;
    }

    bool parse_error(std::size_t position, const std::string&,
                     const nlohmann::detail::exception& error) override {
        std::string_view reason = error.what();
        if (const auto colon = reason.find(": "); colon != std::string_view::npos)
            reason.remove_prefix(colon + 2);
        broken_json(text_, file_, position, reason);
    }

  private:
    enum class Place { before, root, metadata, entry, shape, offsets, after };

    [[noreturn]] void bad(std::string_view what) const {
        usage_error("{}: bad safetensors header: \"{}\" {}", file_, printable(name_), what);
    }
    [[noreturn]] void unexpected(std::string_view what) const {
        if (place_ == Place::before)
            usage_error("{}: bad safetensors header: it is {}, not an object", file_, printable(what));
        const bool in_entry = place_ == Place::entry || place_ == Place::shape || place_ == Place::offsets;
        bad(fmt::format("has {} where it may not{}{}", printable(what), in_entry ? ", in " : "",
                        in_entry ? field_ : ""));
    }

    std::string_view text_;
    std::string_view file_;
    SafetensorsHeader& header_;
    Place place_ = Place::before;
    std::string name_;
    std::string field_;
    SafetensorsEntry entry_;
    std::vector<std::string> fields_;  // of the current entry
    int offsets_ = 0;
    bool has_metadata_ = false;
};

/// What a file that is not safetensors looks like, and what to do about it; empty where it looks like nothing
/// that is known.
std::string_view look_of(std::span<const std::byte> bytes) {
    using namespace std::string_view_literals;
    constexpr std::string_view kPickle =
        "a PyTorch checkpoint (pickle), which may run code when it is read; convert it to safetensors";
    constexpr std::string_view kPage = "a web page, as a download that needs a login or a licence gives";
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 18> kLooks{{
        {"version https://git-lfs"sv, "a pointer of Git LFS in the place of the file; run `git lfs pull`"},
        {"\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
        {"\xff\xd8\xff"sv, "a JPEG picture"},
        {"RIFF"sv, "a RIFF file, such as a WebP picture"},
        {"GIF8"sv, "a GIF picture"},
        {"PK\x03\x04"sv, "a zip archive, as PyTorch's checkpoints (pickle) are; convert it to safetensors"},
        {"\x80\x02"sv, kPickle},
        {"\x80\x03"sv, kPickle},
        {"\x80\x04"sv, kPickle},
        {"\x80\x05"sv, kPickle},
        {"\x93NUMPY"sv, "an array of NumPy's (.npy)"},
        {"GGUF"sv, "a GGUF file"},
        {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
        {"\x1f\x8b"sv, "compressed by gzip"},
        {"%PDF"sv, "a PDF document"},
        {"<"sv, kPage},
        {"{"sv, "JSON text"},
        {"["sv, "JSON text"},
    }};
    std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
    while (!text.empty() && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n'))
        text.remove_prefix(1);
    for (const auto& [begin, look] : kLooks)
        if (text.starts_with(begin)) return look;
    const std::string_view start = text.substr(0, 64);
    const auto is_text = [](char c) {
        return static_cast<signed char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
    };
    const bool plain = start.size() >= 8 && std::all_of(start.begin(), start.end(), is_text);
    return plain ? "plain text" : "";
}

void refuse_other_kinds(std::span<const std::byte> bytes, std::string_view file) {
    if (const std::string_view look = look_of(bytes); !look.empty())
        usage_error("{}: not a safetensors file but {}", file, look);
}

/// Bytes of a tensor; nothing when they overflow or, for types below a byte, do not come out whole.
std::optional<std::uint64_t> bytes_of(const Shape& shape, unsigned bits) {
    std::uint64_t count = bits;
    bool empty = false;
    for (const auto size : shape) {
        if (size == 0)
            empty = true;  // the other sizes must still multiply without overflow
        else if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count))
            return std::nullopt;
    }
    if (empty) return 0;
    if (count % 8 != 0) return std::nullopt;
    return count / 8;
}

void check_tensors(const SafetensorsHeader& header, std::uint64_t data_bytes, std::string_view file) {
    std::vector<std::pair<std::string_view, const SafetensorsEntry*>> by_offset;
    for (const auto& [name, entry] : header.entries) {
        if (entry.begin > entry.end || entry.end > data_bytes)
            usage_error(
                "{}: tensor \"{}\" lies at bytes {} to {} of the data, expected within 0 to {}; the file is "
                "truncated or damaged",
                file, printable(name), entry.begin, entry.end, data_bytes);
        const auto known =
            std::find_if(kTypes.begin(), kTypes.end(),
                         [&dtype = entry.dtype](const KnownType& type) { return type.name == dtype; });
        const auto expected = bytes_of(entry.shape, known == kTypes.end() ? 8 : known->bits);
        if (!expected)
            usage_error("{}: tensor \"{}\" has an impossible shape: {} of {}", file, printable(name),
                        to_string(entry.shape), printable(entry.dtype));
        if (known != kTypes.end() && *expected != entry.end - entry.begin)
            usage_error("{}: tensor \"{}\" has {} bytes, expected {} for {} of {}", file, printable(name),
                        entry.end - entry.begin, *expected, to_string(entry.shape), entry.dtype);
        by_offset.emplace_back(name, &entry);
    }
    std::sort(by_offset.begin(), by_offset.end(), [](const auto& a, const auto& b) {
        return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
    });
    std::uint64_t end = 0;
    for (const auto& [name, entry] : by_offset) {
        if (entry->begin != end)
            usage_error(
                "{}: tensor \"{}\" begins at byte {} of the data, expected {}: tensors may not overlap or "
                "leave holes",
                file, printable(name), entry->begin, end);
        end = entry->end;
    }
    if (end != data_bytes)
        usage_error("{}: {} bytes of data, but the header's tensors end at {}", file, data_bytes, end);
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, std::string_view file) {
    std::uint64_t length = 0;
    if (bytes.size() >= sizeof length) std::memcpy(&length, bytes.data(), sizeof length);
    if (bytes.size() < sizeof length || length > kMaxSafetensorsHeader) refuse_other_kinds(bytes, file);
    if (bytes.size() < sizeof length)
        usage_error("{}: {} bytes, too short for a safetensors file; it is truncated", file, bytes.size());
    if (length > kMaxSafetensorsHeader)
        usage_error("{}: a header of {} bytes, expected at most {}; not a safetensors file, or damaged", file,
                    length, kMaxSafetensorsHeader);
    if (length > bytes.size() - 8)
        usage_error("{}: a header of {} bytes in a file of {}; it is truncated", file, length, bytes.size());
    const auto header_bytes = bytes.subspan(8, static_cast<std::size_t>(length));
    const std::string_view text(reinterpret_cast<const char*>(header_bytes.data()), header_bytes.size());
    if (!text.starts_with('{')) {
        refuse_other_kinds(bytes, file);
        usage_error("{}: not a safetensors file: its header does not begin with {{", file);
    }
    if (const auto zero = text.find('\0'); zero != std::string_view::npos)
        broken_json(text, file, zero + 1, "a zero byte");
    SafetensorsHeader header;
    header.data_begin = 8 + length;
    HeaderReader reader(text, file, header);
    if (!Json::sax_parse(text.begin(), text.end(), &reader))
        usage_error("{}: broken safetensors header", file);
    check_tensors(header, bytes.size() - header.data_begin, file);
    return header;
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
    for (const auto& known : kTypes)
        if (known.name == name) return known.type;
    return std::nullopt;
}

std::string_view dtype_to_safetensors(DType type) {
    for (const auto& known : kTypes)
        if (known.type == type) return known.name;
    failure("{} has no name in safetensors", name_of(type));
}

}  // namespace reprise
