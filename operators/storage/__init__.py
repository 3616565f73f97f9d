"""Storage: places Volumes on pools, has Disks and ImageCopies made, and sees to their end. Start with README.md."""
