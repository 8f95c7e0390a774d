#include "files/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "files/support.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TempFolder;
using testing::HasSubstr;

TEST(AtomicFile, AppearsWholeOrNotAtAll) {
    const TempFolder folder;
    const auto target = folder.put("a.txt", "old");
    {
        AtomicFile file(target);
        file.write("half");
    }
    EXPECT_EQ(test::read(target), "old");
    EXPECT_EQ(folder.file_count(), 1);
    {
        AtomicFile file(target);
        file.write("new ");
        file.write("text");
        EXPECT_EQ(test::read(target), "old");
        file.commit();
    }
    EXPECT_EQ(test::read(target), "new text");
    EXPECT_EQ(folder.file_count(), 1);
    EXPECT_NE(fs::status(target).permissions() & fs::perms::group_read, fs::perms::none);
}

TEST(AtomicFile, WritesAtPlaces) {
    const TempFolder folder;
    AtomicFile file(folder / "a.bin");
    file.reserve(6);
    file.write_at(4, std::as_bytes(std::span("ef", 2)));
    file.write_at(0, std::as_bytes(std::span("abcd", 4)));
    file.commit();
    EXPECT_EQ(test::read(folder / "a.bin"), "abcdef");
}

TEST(AtomicFile, FollowsLinks) {
    const TempFolder folder;
    const auto real = folder.put("real/a.txt", "old");
    fs::create_symlink("real/a.txt", folder / "link.txt");
    write_file(folder / "link.txt", "new");
    EXPECT_TRUE(fs::is_symlink(folder / "link.txt"));
    EXPECT_EQ(test::read(real), "new");
    fs::create_symlink("real/b.txt", folder / "dangling.txt");
    write_file(folder / "dangling.txt", "b");
    EXPECT_EQ(test::read(folder / "real/b.txt"), "b");
}

TEST(AtomicFile, SaysWhyAPlaceCannotBeWritten) {
    const TempFolder folder;
    EXPECT_THAT(error_of([&] { write_file(folder / "none/a.txt", "x"); }), HasSubstr("none does not exist"));
    EXPECT_THAT(error_of([&] { write_file(folder.path(), "x"); }), HasSubstr("Is a directory"));
    EXPECT_THAT(error_of([&] { write_file(folder.put("file", "") / "a.txt", "x"); }),
                HasSubstr("Not a directory"));
    EXPECT_THAT(error_of([&] { write_file("", "x"); }), HasSubstr("name is empty"));
    EXPECT_THAT(error_of([&] { write_file("/proc/reprise.txt", "x"); }), HasSubstr("cannot write /proc/"));
    if (::geteuid() != 0) {
        fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
        EXPECT_THAT(error_of([&] { write_file(folder / "a.txt", "x"); }), HasSubstr("Permission denied"));
        fs::permissions(folder.path(), fs::perms::owner_all);
    }
}

TEST(AtomicFile, FullDiskIsAFailureThatNamesTheFile) {
    EXPECT_EQ(error_of([] { write_file("/dev/full", "x"); }, ErrorKind::failure),
              "cannot write /dev/full: No space left on device");
    EXPECT_NO_THROW(write_file("/dev/null", "x"));
    EXPECT_TRUE(fs::is_character_file("/dev/null"));
    const TempFolder folder;
    EXPECT_THAT(error_of(
                    [&] {
                        AtomicFile file(folder / "a.bin");
                        file.reserve(std::uint64_t{1} << 50U);
                    },
                    ErrorKind::failure),
                HasSubstr("cannot reserve space for"));
    EXPECT_EQ(folder.file_count(), 0);
}

}  // namespace
}  // namespace reprise
