//! Archives byte by byte, whatever they are to hold.

use std::io::Write as _;

use flate2::{Compression, Crc, write::GzEncoder};

/// Compressed with gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of plain files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let entries: Vec<Vec<u8>> =
        files.iter().map(|(path, content)| tar_entry(b'0', path.as_bytes(), b"", content)).collect();
    tar_of(&entries)
}

/// One entry of a tar: its kind's flag (`0` a file, `1` a hard link, `2` a symbolic one, `5` a folder …), its path, of up to 100 bytes,
/// a link's target, and its content.
pub fn tar_entry(flag: u8, path: &[u8], target: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..path.len()].copy_from_slice(path);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    block[156] = flag;
    block[157..157 + target.len()].copy_from_slice(target);
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

/// A tar of these entries, with its end.
pub fn tar_of<T: AsRef<[u8]>>(entries: &[T]) -> Vec<u8> {
    let mut out: Vec<u8> = entries.iter().flat_map(|entry| entry.as_ref().iter().copied()).collect();
    out.resize(out.len() + 1024, 0);
    out
}

/// A ZIP of files that are stored as they are.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let at = u32::try_from(out.len()).unwrap();
        let mut crc = Crc::new();
        crc.update(content);
        let size = u32::try_from(content.len()).unwrap();
        // What both headers say: version, flags, method, time, date, checksum, sizes, lengths of the name and of further fields.
        let mut common = Vec::new();
        for number in [20_u16, 0, 0, 0, 33] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc.sum(), size, size] {
            common.extend(number.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*content);
        // Made on Unix; no comment, the first disk, a plain file.
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len()).unwrap();
    let (start, size) = (u32::try_from(out.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
