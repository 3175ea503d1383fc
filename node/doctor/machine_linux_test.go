package doctor

import "testing"

func TestMountsAreJudged(t *testing.T) {
	for line, c := range map[string]struct{ ext4, status string }{
		"36 35 98:0 / /var/lib rw,noatime shared:1 - ext4 /dev/sda1 rw,data=ordered":       {"", OK},
		"36 35 98:0 / /var/lib rw - xfs /dev/sda1 rw,attr2":                                {"", OK},
		"36 35 98:0 / /var/lib rw,noatime - ext4 /dev/sda1 rw,nobarrier":                   {"", Fail},
		"36 35 98:0 / /var/lib rw,noatime - ext4 /dev/sda1 rw,barrier=0":                   {"", Fail},
		"36 35 98:0 / /var/lib rw,noatime - ext4 /dev/sda1 rw,data=writeback":              {"", Warn},
		"36 35 98:0 / /var/lib rw,noatime - ext4 /dev/sda1 rw":                             {"rw\nfast_commit\n", Warn},
		"36 35 98:0 / /var/lib ro,noatime - ext4 /dev/sda1 rw":                             {"", Fail},
		"36 35 98:0 / /var/lib rw master:2 propagate_from:1 - nfs4 host:/x rw,vers=4.2":    {"", Fail},
		"36 35 98:0 / /var/lib rw - tmpfs tmpfs rw,size=1g":                                {"", Fail},
		"36 35 98:0 / /var/lib rw - fuse.sshfs host:/x rw":                                 {"", Warn},
		"36 35 98:0 / /var/lib rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/w": {"", Warn},
	} {
		m, ok := parseMount(line)
		if !ok || m.point != "/var/lib" {
			t.Errorf("%s was read as %+v", line, m)
			continue
		}
		f := Finding{Check: line, Status: OK}
		m.judge(&f, c.ext4)
		want(t, f, c.status)
	}
	for _, line := range []string{"", "-", "36 35 98:0 / /var/lib rw", "1 2 3 4 5 - x y"} {
		if m, ok := parseMount(line); ok {
			t.Errorf("%q was read as %+v", line, m)
		}
	}
	if m, ok := parseMount(`36 35 98:0 / /with\040space rw - ext4 /dev/sda1 rw`); !ok || m.point != "/with space" {
		t.Errorf("a space in a name: %+v", m)
	}
}

func TestTheMountOfAFolderIsFound(t *testing.T) {
	m, err := mountOf(t.TempDir())
	if err != nil || m.fs == "" || m.point == "" {
		t.Errorf("%+v, %v", m, err)
	}
}
