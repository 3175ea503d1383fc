const config = "@parlor-config";
console.log(config);
