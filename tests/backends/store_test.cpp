#include "backends/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "reprise/error.h"

namespace reprise::backends {
namespace {

using Text = std::shared_ptr<const std::string>;

/// Puts a text of that many bytes, as the store counts.
Text put(Store::Share& share, const std::string& text, double bytes, double mappings = 0) {
    return share.get<std::string>(text, [=] {
        return Store::Order<std::string>{{bytes, mappings},
                                         [text] { return std::make_shared<const std::string>(text); }};
    });
}

/// What is there already.
Text again(Store::Share& share, const std::string& text) {
    return share.get<std::string>(text, []() -> Store::Order<std::string> { failure("it is not there"); });
}

TEST(Store, WhatWasUsedLeastRecentlyGoesFirst) {
    Store store({.bytes = 30, .mappings = 1000});
    Store::Share share(store);
    const std::weak_ptr<const std::string> a = put(share, "a", 10), b = put(share, "b", 10),
                                           c = put(share, "c", 10);
    EXPECT_EQ(again(share, "a"), a.lock());
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
    for (const char* other : {"other", "another", "a third"}) put(share, other, 10);
    EXPECT_EQ(*used, "used");
    EXPECT_EQ(store.held().count, 2U);
    EXPECT_EQ(share.held().footprint.bytes, 20);
    EXPECT_EQ(share.held().in_use.bytes, 10);
}

TEST(Store, WhatEachOwnerUsedLastStaysButForMappings) {
    Store store({.bytes = 5, .mappings = 100});
    Store::Share one(store), two(store);
    const std::weak_ptr<const std::string> first = put(one, "first", 10, 40);
    for (const char* other : {"second", "another", "a third"}) put(two, other, 10, 40);
    EXPECT_FALSE(first.expired());
    EXPECT_EQ(one.held().count, 1U);
    EXPECT_EQ(two.held().count, 1U);
    put(two, "large", 10, 70);
    EXPECT_TRUE(first.expired());
    EXPECT_EQ(store.held().footprint.mappings, 70);
}

TEST(Store, AnOwnerTakesItsOwnAlong) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share stays(store);
    put(stays, "stays", 1);
    {
        Store::Share goes(store);
        const Text used = put(goes, "used", 1);
        put(goes, "dropped", 1);
        put(goes, "goes", 1);
        goes.drop({"dropped", "used"});
        EXPECT_EQ(goes.held().count, 2U);
        goes.drop_idle();
        EXPECT_EQ(goes.held().count, 1U);
    }
    EXPECT_EQ(store.held().count, 1U);
}

TEST(Store, WhatCannotBeMadeIsNotCounted) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    const auto fails = [] { return Store::Order<std::string>{{1, 1}, []() -> Text { failure("no"); }}; };
    EXPECT_THROW(share.get<std::string>("a", fails), Error);
    EXPECT_EQ(store.held().count, 0U);
    put(share, "a", 1);  // it is tried again
    EXPECT_EQ(store.held().count, 1U);
}

/// An item that is made when the test says so.
class Gate {
  public:
    Store::Order<std::string> order(bool fails = false) {
        return {{1, 0}, [this, fails] {
                    ++begun;
                    opened_.get_future().wait();
                    if (fails) failure("no");
                    return std::make_shared<const std::string>("made");
                }};
    }
    void open() { opened_.set_value(); }
    std::atomic<int> begun = 0;

  private:
    std::promise<void> opened_;
};

TEST(StoreThreads, ThoseWhoNeedTheSameShareItsMaking) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    Gate gate;
    std::vector<std::future<Text>> callers;
    for (int i = 0; i < 4; ++i)
        callers.push_back(std::async(
            std::launch::async, [&] { return share.get<std::string>("key", [&] { return gate.order(); }); }));
    while (gate.begun == 0) std::this_thread::yield();
    gate.open();
    const Text first = callers[0].get();
    for (std::size_t i = 1; i < callers.size(); ++i) EXPECT_EQ(callers[i].get(), first);
    EXPECT_EQ(gate.begun, 1);
}

TEST(StoreThreads, AsManyAreMadeAtOnceAsTheOrderSays) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    std::atomic<int> inside = 0, most = 0;
    const std::vector<std::string> keys = {"a", "b", "c", "d"};
    share.get<std::string>(keys,
                           [&](std::size_t i) {
                               return Store::Order<std::string>{
                                   {1, 0},
                                   [&, i] {
                                       most = std::max(most.load(), ++inside);
                                       std::this_thread::sleep_for(std::chrono::milliseconds(5));
                                       --inside;
                                       return std::make_shared<const std::string>(keys[i]);
                                   },
                                   1};
                           },
                           {});
    EXPECT_EQ(most, 1);
}

TEST(StoreThreads, EachWhoWaitsHearsOfAFailureAndItIsForgotten) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    Gate gate;
    std::vector<std::future<Text>> callers;
    for (int i = 0; i < 3; ++i)
        callers.push_back(std::async(std::launch::async, [&] {
            return share.get<std::string>("key", [&] { return gate.order(true); });
        }));
    while (gate.begun == 0) std::this_thread::yield();
    gate.open();
    for (auto& caller : callers) EXPECT_THROW(caller.get(), std::exception);
    EXPECT_EQ(store.held().count, 0U);
}

TEST(StoreThreads, OneWhoStopsLeavesTheOthersTheirs) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    Gate gate;
    std::stop_source stop;
    const auto order = [&] { return gate.order(); };
    std::promise<void> waits;
    auto stopped = std::async(std::launch::async, [&] {
        return share.get<std::string>("key", order,
                                      {stop.get_token(), [&](std::size_t done, std::size_t all) {
                                           EXPECT_EQ(done, 0U);
                                           EXPECT_EQ(all, 1U);
                                           waits.set_value();
                                       }});
    });
    waits.get_future().wait();
    while (gate.begun == 0) std::this_thread::yield();
    auto other = std::async(std::launch::async, [&] { return share.get<std::string>("key", order); });
    stop.request_stop();
    try {
        stopped.get();
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
    gate.open();
    EXPECT_EQ(*other.get(), "made");
    EXPECT_EQ(gate.begun, 1);
}

TEST(StoreThreads, ACallOfOneOwnerDoesNotHoldUpAnothers) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share one(store), two(store);
    put(two, "there", 1);
    Gate gate;
    auto slow = std::async(std::launch::async,
                           [&] { return one.get<std::string>("slow", [&] { return gate.order(); }); });
    while (gate.begun == 0) std::this_thread::yield();
    EXPECT_EQ(*again(two, "there"), "there");  // would hang under a lock of all
    gate.open();
    slow.get();
}

TEST(Store, EqualKeysOfOneCallAreMadeOnce) {
    Store store({.bytes = 100, .mappings = 1000});
    Store::Share share(store);
    std::atomic<int> made = 0;
    const auto items = share.get<std::string>({"a", "b", "a"},
                                              [&](std::size_t) {
                                                  return Store::Order<std::string>{
                                                      {1, 0}, [&] {
                                                          ++made;
                                                          return std::make_shared<const std::string>("made");
                                                      }};
                                              },
                                              {});
    EXPECT_EQ(made, 2);
    EXPECT_EQ(items[0], items[2]);
    EXPECT_NE(items[0], items[1]);
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
