#include "options/describe.h"

namespace reprise::options {

namespace {

std::string_view name_of(Type type) {
    switch (type) {
        case Type::boolean:
            return "boolean";
        case Type::integer:
            return "integer";
        case Type::number:
            return "number";
        case Type::text:
            return "text";
        case Type::integers:
            return "integers";
        case Type::texts:
            return "texts";
        case Type::pair:
            return "pair";
        case Type::objects:
            return "objects";
        case Type::reuse:
            return "reuse";
        case Type::attached:
            return "attached";
        case Type::callback:
            return "callback";
    }
    return "";
}

std::string_view name_of(About about) {
    switch (about) {
        case About::call:
            return "call";
        case About::texts:
            return "texts";
        case About::second_text:
            return "second_text";
        case About::third_text:
            return "third_text";
        case About::clip_layers:
            return "clip_layers";
        case About::t5_tokens:
            return "t5_tokens";
        case About::captions:
            return "captions";
        case About::embeddings:
            return "embeddings";
        case About::guidance:
            return "guidance";
        case About::third_branch:
            return "third_branch";
        case About::parts:
            return "parts";
        case About::size_ids:
            return "size_ids";
        case About::target_size:
            return "target_size";
        case About::score:
            return "score";
        case About::bins:
            return "bins";
        case About::video:
            return "video";
        case About::load:
            return "load";
    }
    return "";
}

Json limit(double value) {
    return Domain::is_limit(value) ? Json(value) : Json();
}

}  // namespace

Json describe(const Table& table) {
    Json rows = Json::array();
    for (const Row& row : table.rows)
        rows.push_back({{"name", row.name},
                        {"type", name_of(row.type)},
                        {"about", name_of(row.about)},
                        {"optional", row.optional},
                        {"wide", row.wide},
                        {"default", row.get(table.defaults)},
                        {"names", row.domain.names == nullptr ? Json() : Json(row.domain.names())},
                        {"others", row.domain.others},
                        {"least", limit(row.domain.least)},
                        {"most", limit(row.domain.most)},
                        {"settable", row.set != nullptr},
                        {"help", row.help}});
    return rows;
}

}  // namespace reprise::options
