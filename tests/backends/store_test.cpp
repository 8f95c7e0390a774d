#include "backends/store.h"

#include <gtest/gtest.h>

#include <string>

#include "reprise/error.h"

namespace reprise::backends {
namespace {

using Text = std::shared_ptr<const std::string>;

/// Puts a text of that many bytes, as the store counts.
Text put(Store::Share& share, const std::string& text, double bytes, double mappings = 0) {
    return share.keep<std::string>({bytes, mappings},
                                   [&] { return std::make_shared<const std::string>(text); });
}

TEST(Store, WhatWasUsedLeastRecentlyGoesFirst) {
    Store store({.bytes = 30, .mappings = 1000});
    Store::Share share(store);
    const std::weak_ptr<const std::string> a = put(share, "a", 10), b = put(share, "b", 10),
                                           c = put(share, "c", 10);
    share.use(a.lock());
    const std::weak_ptr<const std::string> d = put(share, "d", 10);  // 30 beside it
    EXPECT_EQ(store.held().count, 4U);
    EXPECT_EQ(store.held().footprint.bytes, 40);
    const std::weak_ptr<const std::string> e = put(share, "e", 10);
    EXPECT_TRUE(b.expired());
    EXPECT_FALSE(a.expired());
    EXPECT_FALSE(c.expired());
    EXPECT_FALSE(d.expired());
    const std::weak_ptr<const std::string> large = put(share, "large", 1000);  // only it may be larger
    put(share, "f", 1);
    EXPECT_TRUE(large.expired());
    EXPECT_EQ(store.held().count, 1U);
}

TEST(Store, WhatIsInUseIsCountedAndStays) {
    Store store({.bytes = 5, .mappings = 1000});
    Store::Share share(store);
    const Text used = put(share, "used", 10);
    for (int i = 0; i < 3; ++i) put(share, "other", 10);
    EXPECT_EQ(*used, "used");
    EXPECT_EQ(store.held().count, 2U);
    EXPECT_EQ(share.held().footprint.bytes, 20);
}

TEST(Store, WhatEachOwnerUsedLastStaysButForMappings) {
    Store store({.bytes = 5, .mappings = 100});
    Store::Share one(store), two(store);
    const std::weak_ptr<const std::string> first = put(one, "first", 10, 40);
    for (int i = 0; i < 3; ++i) put(two, "second", 10, 40);
    EXPECT_FALSE(first.expired());
    EXPECT_EQ(one.held().count, 1U);
    EXPECT_EQ(two.held().count, 1U);
    put(two, "third", 10, 70);
    EXPECT_TRUE(first.expired());
    EXPECT_EQ(store.held().footprint.mappings, 70);
}

TEST(Store, AnOwnerTakesItsOwnAlong) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share stays(store);
    put(stays, "stays", 1);
    {
        Store::Share goes(store);
        const Text text = put(goes, "goes", 1);
        put(goes, "too", 1);
        goes.drop(text.get());
        EXPECT_EQ(goes.held().count, 1U);
    }
    EXPECT_EQ(store.held().count, 1U);
}

TEST(Store, WhatCannotBeMadeIsNotCounted) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    EXPECT_THROW(share.keep<std::string>({1, 1}, []() -> Text { failure("no"); }), Error);
    EXPECT_EQ(store.held().count, 0U);
}

TEST(Store, TooManyMappingsAreAnError) {
    Store store({.bytes = 100, .mappings = 1e9});
    Store::Share share(store);
    try {
        put(share, "a", 1, 1e9);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::failure);
        EXPECT_NE(std::string(error.what()).find("memory mappings"), std::string::npos) << error.what();
    }
    EXPECT_EQ(store.held().count, 0U);
}

}  // namespace
}  // namespace reprise::backends
