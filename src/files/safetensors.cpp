#include "files/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "files/atomic_file.h"
#include "files/json.h"
#include "files/mapped_file.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise {

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : name_(path.string()), file_(std::make_shared<MappedFile>(path)), owner_(file_), bytes_(file_->bytes()) {
    header_ = std::make_shared<SafetensorsHeader>(parse_safetensors_header(bytes_, name_));
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                                 std::string name)
    : name_(std::move(name)), owner_(std::move(owner)), bytes_(bytes) {
    header_ = std::make_shared<SafetensorsHeader>(parse_safetensors_header(bytes_, name_));
}

std::vector<std::string> SafetensorsFile::names() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries()) result.push_back(name);
    return result;
}

std::optional<Tensor> SafetensorsFile::find(std::string_view name) const {
    const auto found = entries().find(name);
    if (found == entries().end()) return std::nullopt;
    const SafetensorsEntry& entry = found->second;
    const auto type = dtype_from_safetensors(entry.dtype);
    if (!type)
        usage_error("{}: tensor \"{}\" is of type {}, which Reprise cannot read; save it as F16, BF16 or F32",
                    name_, printable(name), printable(entry.dtype));
    const std::byte* data = raw(name).data();
    if (reinterpret_cast<std::uintptr_t>(data) % size_of(*type) != 0) {
        Tensor copy(*type, entry.shape);
        std::memcpy(copy.data(), data, copy.bytes());
        return copy;
    }
    // Tensor shows const access only through const handles; the pages themselves are mapped read-only.
    return Tensor::view(*type, entry.shape, const_cast<std::byte*>(data),
                        std::const_pointer_cast<void>(owner_));
}

std::span<const std::byte> SafetensorsFile::raw(std::string_view name) const {
    const auto found = entries().find(name);
    if (found == entries().end()) failure("{}: no tensor \"{}\"", name_, printable(name));
    const SafetensorsEntry& entry = found->second;
    return bytes_.subspan(static_cast<std::size_t>(header_->data_begin + entry.begin),
                          static_cast<std::size_t>(entry.end - entry.begin));
}

void SafetensorsFile::release_pages() const {
    if (file_) file_->release_pages();
}

namespace {

std::uint64_t bytes_of(const SafetensorsLayout::Item& item) {
    return static_cast<std::uint64_t>(element_count(item.shape)) * size_of(item.type);
}

/// The largest power of two up to 64 that divides a size.
std::uint64_t alignment_of(std::uint64_t size) {
    std::uint64_t alignment = 64;
    while (size % alignment != 0) alignment /= 2;
    return alignment;
}

}  // namespace

SafetensorsLayout lay_out_safetensors(std::vector<SafetensorsLayout::Item> items, const Metadata& metadata) {
    std::set<std::string_view> seen;
    for (const auto& item : items)
        if (item.name == "__metadata__" || !seen.insert(item.name).second)
            failure("cannot write safetensors: the name \"{}\" is taken", printable(item.name));
    std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
        return alignment_of(bytes_of(a)) > alignment_of(bytes_of(b));
    });
    nlohmann::ordered_json json = nlohmann::ordered_json::object();
    if (!metadata.empty()) json["__metadata__"] = metadata;
    std::uint64_t offset = 0;
    for (auto& item : items) {
        item.offset = offset;
        offset += bytes_of(item);
        json[item.name] = {{"dtype", dtype_to_safetensors(item.type)},
                           {"shape", item.shape},
                           {"data_offsets", {item.offset, offset}}};
    }
    std::string text = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
    SafetensorsLayout layout;
    const std::uint64_t length = text.size();
    layout.header.resize(8);
    std::memcpy(layout.header.data(), &length, sizeof length);
    layout.header += text;
    for (auto& item : items) item.offset += layout.header.size();
    layout.file_bytes = layout.header.size() + offset;
    layout.items = std::move(items);
    return layout;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors, const Metadata& metadata) {
    std::vector<SafetensorsLayout::Item> items;
    std::map<std::string_view, const Tensor*> by_name;
    for (const auto& [name, tensor] : tensors) {
        items.push_back({name, tensor.type(), tensor.shape(), 0});
        by_name[name] = &tensor;
    }
    const auto layout = lay_out_safetensors(std::move(items), metadata);
    AtomicFile file(path);
    file.write(layout.header);
    for (const auto& item : layout.items) {
        const Tensor& tensor = *by_name.at(item.name);
        file.write(std::span(static_cast<const std::byte*>(tensor.data()), tensor.bytes()));
    }
    file.commit();
}

}  // namespace reprise
