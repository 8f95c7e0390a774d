#include <reprise/c.h>
#include <reprise/reprise.h>

int main() {
    try {
        reprise::Pipeline::from_pretrained("nothing");
    } catch (const reprise::Error& error) {
        return error.kind() == reprise::ErrorKind::usage && reprise_version() != nullptr ? 0 : 1;
    }
    return 1;
}
